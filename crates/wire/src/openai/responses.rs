//! The request of the Responses API as clients send it. Unknown fields are passed over.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The body of `POST /v1/responses`.
#[derive(Debug, Deserialize)]
pub struct ResponsesRequest {
    /// The model's public name.
    pub model: String,
    /// What is said: text, or items.
    pub input: Option<Input>,
    /// Instructions, for this answer only.
    pub instructions: Option<String>,
    /// The answer that this one follows.
    pub previous_response_id: Option<String>,
    /// Whether to keep the answer for a later request. Absent: yes.
    pub store: Option<bool>,
    /// Whether to stream the answer.
    pub stream: Option<bool>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    pub max_output_tokens: Option<u64>,
    /// The client's tools, and OpenAI's own.
    pub tools: Option<Vec<Tool>>,
    /// Which tool to call.
    pub tool_choice: Option<Box<RawValue>>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the text.
    pub text: Option<TextOptions>,
    /// How to think.
    pub reasoning: Option<Reasoning>,
    /// Words of the client's about the request, given back with the answer.
    pub metadata: Option<Box<RawValue>>,
    /// The client's name for its user.
    pub user: Option<String>,
    /// A conversation that OpenAI would keep.
    pub conversation: Option<IgnoredAny>,
    /// A prompt that OpenAI would keep.
    pub prompt: Option<IgnoredAny>,
    /// Whether to answer later.
    pub background: Option<bool>,
    /// How many likely tokens to tell.
    pub top_logprobs: Option<u32>,
}

/// `input`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "must be a string or an array of items")]
pub enum Input {
    /// A user's text.
    Text(String),
    /// Items, in order.
    Items(Vec<Item>),
}

/// `text`.
#[derive(Debug, Deserialize)]
pub struct TextOptions {
    /// The form of the text.
    pub format: Option<Box<RawValue>>,
}

/// `reasoning`.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Reasoning {
    /// How hard to think.
    pub effort: Option<String>,
    /// Whether, and how, to tell the thinking as a summary.
    pub summary: Option<String>,
}

/// A tool.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Tool {
    /// `function` for a tool of the client's; otherwise one of OpenAI's own.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A schema of its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Box<RawValue>>,
    /// Whether the arguments must follow the schema to the letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Of `web_search`: whether pages are fetched, or only an index of OpenAI's is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_web_access: Option<bool>,
}

/// An item of the input: its kind, and the fields of whichever kind. Without a kind it is a
/// message.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// `message`, `function_call`, `function_call_output`, `reasoning`, or a kind that is not known
    /// here.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Who speaks in a message.
    pub role: Option<Role>,
    /// What a message says, or the text of a reasoning.
    pub content: Option<Parts>,
    /// The summary of a reasoning.
    pub summary: Option<Vec<Part>>,
    /// Which call a function's call or its outcome is.
    pub call_id: Option<String>,
    /// The function that was called.
    pub name: Option<String>,
    /// What it was called with: JSON text.
    pub arguments: Option<String>,
    /// What it gave.
    pub output: Option<Parts>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// Instructions.
    System,
    /// Instructions, in OpenAI's newer word.
    Developer,
}

/// Text, or parts.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "must be a string or an array of parts with a type")]
pub enum Parts {
    /// Plain text.
    Text(String),
    /// Parts, in order.
    List(Vec<Part>),
}

/// A part: its kind, and the fields of whichever kind.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// `input_text`, `output_text`, `input_image`, `refusal`, `summary_text`, `reasoning_text`, or a
    /// kind that is not known here.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text.
    pub text: Option<String>,
    /// The words of a refusal.
    pub refusal: Option<String>,
    /// Where an image is: a URL, or a `data:` URL that holds it.
    pub image_url: Option<String>,
    /// How closely to look.
    pub detail: Option<String>,
}
