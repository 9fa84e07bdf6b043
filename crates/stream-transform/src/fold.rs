//! The sink that gathers a whole completion.

use serde::Serialize;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};

use crate::sink::{AnswerId, Sink};

/// Gathers an answer into one `chat.completion`.
#[derive(Debug, Default)]
pub struct Fold {
    content: String,
    reasoning: String,
    tool_calls: Vec<ToolCall>,
    end: Option<(FinishReason, Option<Usage>)>,
}

#[derive(Debug, Serialize)]
struct ToolCall {
    #[serde(skip)]
    index: u32,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Default, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: FinishReason,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "<[ToolCall]>::is_empty")]
    tool_calls: &'a [ToolCall],
}

impl Fold {
    /// The JSON of the completion, or None while the answer is not whole.
    pub fn completion(&self, id: &AnswerId) -> Option<Vec<u8>> {
        let (finish_reason, usage) = self.end.as_ref()?;
        let only_calls = self.content.is_empty() && !self.tool_calls.is_empty();
        let completion = Completion {
            id: &id.id,
            object: "chat.completion",
            created: id.created,
            model: &id.model,
            choices: [Choice {
                index: 0,
                message: Message {
                    role: "assistant",
                    content: (!only_calls).then_some(&self.content),
                    refusal: None,
                    reasoning_content: &self.reasoning,
                    tool_calls: &self.tool_calls,
                },
                logprobs: None,
                finish_reason: *finish_reason,
            }],
            usage: usage.as_ref(),
        };
        Some(serde_json::to_vec(&completion).expect("a completion is JSON"))
    }

    /// Bytes of text gathered so far.
    pub fn len(&self) -> usize {
        self.content.len() + self.reasoning.len()
    }

    /// Whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.tool_calls.is_empty()
    }
}

impl Sink for Fold {
    fn content(&mut self, text: &str) {
        self.content.push_str(text);
    }

    fn reasoning(&mut self, text: &str) {
        self.reasoning.push_str(text);
    }

    fn tool_call(&mut self, piece: &ToolCallDelta<'_>) {
        let at = self.tool_calls.iter().position(|call| call.index == piece.index);
        let at = at.unwrap_or_else(|| {
            self.tool_calls.push(ToolCall {
                index: piece.index,
                id: String::new(),
                kind: "function",
                function: Function::default(),
            });
            self.tool_calls.len() - 1
        });
        let call = &mut self.tool_calls[at];
        call.id.push_str(piece.id.as_deref().unwrap_or_default());
        call.function.name.push_str(piece.name.as_deref().unwrap_or_default());
        call.function.arguments.push_str(&piece.arguments);
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.end = Some((reason, usage.copied()));
    }
}
