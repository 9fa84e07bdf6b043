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
    /// Whether the model forgets what it thought in earlier turns. With false it goes on from the
    /// `reasoning_content` of those turns, which must then be as it came. None leaves it to the
    /// upstream (`openai` only).
    pub clear_thinking: Option<bool>,
    /// How hard the model thinks, in the words of its API, such as `low`, `high` or `max`. Not
    /// sent to models that do not know it (`openai` only).
    pub reasoning_effort: Option<String>,
    /// Whether the upstream searches the web.
    pub search: bool,
    /// Names of tool servers the upstream runs (`zai-web` only).
    pub mcp_servers: Vec<String>,
    /// Sampling temperature. In `openai`, 0 means no sampling, and above 1 is taken for 1.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Words that end the answer. Of several, the official API is told the first: for the others,
    /// look at the text.
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
