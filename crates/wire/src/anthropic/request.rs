//! The request as Anthropic's clients send it. Unknown fields are passed over.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub use crate::anthropic::options::{
    ContextManagement, Display, Edit, Metadata, OutputConfig, Thinking, Tool, ToolChoice,
    ToolChoiceKind,
};
pub use crate::anthropic::turn::{
    Block, Blocks, Citations, Place, Role, Source, Text, TextBlock, Turn,
};

/// The body of `POST /v1/messages` and, but for `max_tokens`, of `/v1/messages/count_tokens`.
#[derive(Debug, Deserialize)]
pub struct MessagesRequest {
    /// The model's name.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Turn>,
    /// Instructions.
    pub system: Option<Text>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Whether to stream the answer.
    pub stream: Option<bool>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sampling from the likeliest.
    pub top_k: Option<u64>,
    /// Words that end the answer.
    pub stop_sequences: Option<Vec<String>>,
    /// Whether the model is to think.
    pub thinking: Option<Thinking>,
    /// The client's tools, and Anthropic's own.
    pub tools: Option<Vec<Tool>>,
    /// Which tool to call.
    pub tool_choice: Option<ToolChoice>,
    /// About the request.
    pub metadata: Option<Metadata>,
    /// The form of the answer.
    pub output_config: Option<OutputConfig>,
    /// The form of the answer, by its older name.
    pub output_format: Option<Box<RawValue>>,
    /// Tool servers that Anthropic would ask.
    pub mcp_servers: Option<Vec<Mark>>,
    /// Where Anthropic would run code.
    pub container: Option<Mark>,
    /// In which part of the world to compute.
    pub inference_geo: Option<String>,
    /// Which capacity to use.
    pub service_tier: Option<String>,
    /// Whether to be faster at a higher price.
    pub speed: Option<String>,
    /// What to remember of the request.
    pub cache_control: Option<Mark>,
    /// What Anthropic would take out of a long conversation.
    pub context_management: Option<ContextManagement>,
    /// A conversation that Anthropic would keep, of which the request has the newest turns only.
    pub thread: Option<Mark>,
    /// Asks for a summary in place of an answer.
    pub compaction: Option<Mark>,
    /// Who answers if the model declines.
    pub fallbacks: Option<Mark>,
    /// Who pays.
    pub billing_policy: Option<Mark>,
    /// What to tell about the cache.
    pub diagnostics: Option<Mark>,
    /// For whom the request is.
    pub user_profile_id: Option<Mark>,
}

/// A field of which only matters that it is there.
pub type Mark = IgnoredAny;
