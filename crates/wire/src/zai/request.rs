//! The request of the web chat, with the fields its own page sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::openai::request::Message;

/// The body of `POST /api/chat/completions`.
#[derive(Debug, Serialize)]
pub struct WebRequest<'a> {
    /// Always true: this upstream only streams.
    pub stream: bool,
    /// The upstream's id of the model.
    pub model: &'a str,
    /// The conversation.
    pub messages: &'a [Message],
    /// Sampling.
    pub params: Params<'a>,
    /// What the upstream should do besides.
    pub features: Features,
    /// Side jobs of the web page, all off.
    pub background_tasks: BackgroundTasks,
    /// This conversation's id: a UUID of its own for each request.
    pub chat_id: &'a str,
    /// This answer's id: a UUID of its own for each request.
    pub id: &'a str,
    /// Tool servers that the upstream runs.
    pub mcp_servers: &'a [String],
    /// Always empty.
    pub tool_servers: [&'static str; 0],
    /// Values for the placeholders of the upstream's own prompts.
    pub variables: BTreeMap<&'static str, String>,
}

/// `params`.
#[derive(Debug, Serialize)]
pub struct Params<'a> {
    /// Sampling temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Words that end the answer.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub stop: &'a [String],
}

/// `features`.
#[derive(Debug, Serialize)]
pub struct Features {
    /// Whether the model thinks.
    pub enable_thinking: bool,
    /// Whether it searches.
    pub web_search: bool,
    /// Whether it may search by itself.
    pub auto_web_search: bool,
    /// Always false.
    pub image_generation: bool,
    /// Always false.
    pub preview_mode: bool,
}

/// `background_tasks`.
#[derive(Debug, Default, Serialize)]
pub struct BackgroundTasks {
    /// Always false.
    pub title_generation: bool,
    /// Always false.
    pub tags_generation: bool,
}

/// What `GET /api/v1/auths/` answers to a stranger: a new guest.
#[derive(Deserialize)]
pub struct Guest {
    /// The guest's token. A secret.
    pub token: String,
}
