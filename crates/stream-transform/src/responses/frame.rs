//! What a response repeats of its request.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::openai::responses::{Reasoning, ResponsesRequest, TextOptions};

use super::names::ToolNames;
use crate::sink::AnswerId;

/// Asks for the thinking in a form that can be given back.
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";

/// What a response repeats of its request, and what it takes to write one.
#[derive(Debug, Serialize)]
pub struct Frame {
    #[serde(skip)]
    id: AnswerId,
    #[serde(skip)]
    names: ToolNames,
    /// The thinking is told in a form that can be given back, too.
    #[serde(skip)]
    opaque: bool,
    background: bool,
    instructions: Option<String>,
    max_output_tokens: Option<u64>,
    max_tool_calls: Option<u64>,
    metadata: Box<RawValue>,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    prompt_cache_key: Option<String>,
    reasoning: Reasoning,
    safety_identifier: Option<String>,
    service_tier: &'static str,
    store: bool,
    temperature: Option<f64>,
    text: Text,
    tool_choice: Box<RawValue>,
    tools: Box<RawValue>,
    top_p: Option<f64>,
    /// What is done, whatever was asked for.
    truncation: &'static str,
    user: Option<String>,
}

#[derive(Debug, Serialize)]
struct Text {
    format: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<String>,
}

impl Frame {
    /// Takes from the request what its response repeats.
    pub(super) fn new(request: ResponsesRequest, names: ToolNames) -> Self {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("it is JSON");
        let text = request.text.unwrap_or_default();
        let TextOptions { format, verbosity } = text;
        let store = request.store.unwrap_or(true);
        let mut reasoning = request.reasoning.unwrap_or_default();
        reasoning.summary = reasoning.summary.take().or(reasoning.generate_summary.take());
        let asked = request.include.iter().flatten().any(|entry| entry == ENCRYPTED);
        Self {
            id: AnswerId { id: String::new(), created: 0, model: request.model },
            names,
            // Where nothing is kept, the client must give the thinking back itself.
            opaque: asked || !store,
            background: false,
            instructions: request.instructions,
            max_output_tokens: request.max_output_tokens,
            max_tool_calls: request.max_tool_calls,
            metadata: request.metadata.unwrap_or_else(|| raw("{}")),
            parallel_tool_calls: request.parallel_tool_calls.unwrap_or(true),
            previous_response_id: request.previous_response_id,
            prompt_cache_key: request.prompt_cache_key,
            reasoning,
            safety_identifier: request.safety_identifier,
            service_tier: "default",
            store,
            temperature: request.temperature,
            text: Text { format: format.unwrap_or_else(|| raw(r#"{"type":"text"}"#)), verbosity },
            tool_choice: request.tool_choice.unwrap_or_else(|| raw(r#""auto""#)),
            tools: request.tools.unwrap_or_else(|| raw("[]")),
            top_p: request.top_p,
            truncation: "disabled",
            user: request.user,
        }
    }

    /// Names the response.
    #[must_use]
    pub fn named(mut self, id: &AnswerId) -> Self {
        self.id = id.clone();
        self
    }

    /// Nothing is kept of the response: the client must give the thinking back itself.
    #[must_use]
    pub fn not_kept(self) -> Self {
        Self { store: false, opaque: true, ..self }
    }

    pub(super) fn id(&self) -> &AnswerId {
        &self.id
    }

    pub(super) fn names(&self) -> &ToolNames {
        &self.names
    }

    pub(super) fn opaque(&self) -> bool {
        self.opaque
    }

    /// Whether the thinking is told as a summary, since the client asked for one; otherwise it is
    /// told as what it is, the model's own words.
    pub(super) fn summarizes(&self) -> bool {
        self.reasoning.summary.as_deref().is_some_and(|kind| kind != "none")
    }

    /// An id for an item of the output.
    pub(super) fn item_id(&self, prefix: &str, at: usize) -> String {
        let random = self.id.id.rsplit('_').next().unwrap_or_default();
        format!("{prefix}_{random}{at:02x}")
    }
}
