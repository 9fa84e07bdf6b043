//! One chat request in words both dialects understand: what is asked, not how it is sent.

use serde_json::value::RawValue;

use crate::openai::request::Message;

/// What is asked of the upstream. Each dialect writes it in its own way.
#[derive(Debug, Default)]
pub struct Chat {
    /// The upstream's id of the model.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Whether the model thinks before it answers.
    pub thinking: bool,
    /// Whether the upstream searches the web.
    pub search: bool,
    /// Names of tool servers the upstream runs (`zai-web` only).
    pub mcp_servers: Vec<String>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Words that end the answer.
    pub stop: Vec<String>,
    /// The client's tools, as JSON.
    pub tools: Option<Box<RawValue>>,
    /// Which tool to call, as JSON.
    pub tool_choice: Option<Box<RawValue>>,
    /// The form of the answer, as JSON.
    pub response_format: Option<Box<RawValue>>,
    /// The client's name for its user.
    pub user: Option<String>,
}

impl Chat {
    /// A single question to a model.
    pub fn ask(model: impl Into<String>, question: impl Into<String>) -> Self {
        Self { model: model.into(), messages: vec![Message::user(question)], ..Self::default() }
    }
}
