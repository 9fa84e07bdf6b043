//! The chat request as clients send it. Typed; what only rides along stays raw JSON.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Object;
use crate::names::Names;
pub use crate::openai::message::{Content, ImageUrl, Message, Part, Role};

/// The body of `POST /v1/chat/completions`. Unknown fields are passed over.
#[derive(Debug, Default, Deserialize)]
pub struct ChatRequest {
    /// The model's public name.
    pub model: String,
    /// The conversation, oldest first.
    #[serde(deserialize_with = "Object::list")]
    pub messages: Vec<Message>,
    /// Whether to stream the answer.
    pub stream: Option<bool>,
    /// How to stream it.
    pub stream_options: Option<StreamOptions>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the answer (the older name).
    pub max_tokens: Option<u64>,
    /// The most tokens of the answer (the newer name, which wins).
    pub max_completion_tokens: Option<u64>,
    /// Words that end the answer.
    pub stop: Option<Stop>,
    /// How many answers are wanted.
    pub n: Option<u32>,
    /// Whether token probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives to each token.
    pub top_logprobs: Option<u32>,
    /// The client's tools.
    pub tools: Option<Box<RawValue>>,
    /// Which tool to call.
    pub tool_choice: Option<Box<RawValue>>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The client's tools, in OpenAI's oldest form.
    pub functions: Option<Box<RawValue>>,
    /// Which function to call, in OpenAI's oldest form.
    pub function_call: Option<Box<RawValue>>,
    /// The form of the answer.
    pub response_format: Option<Box<RawValue>>,
    /// What the answer is made of: text, sound.
    pub modalities: Option<Vec<String>>,
    /// How sound is to be.
    pub audio: Option<Box<RawValue>>,
    /// Asks for a search of the web.
    pub web_search_options: Option<Box<RawValue>>,
    /// How long the answer should be.
    pub verbosity: Option<String>,
    /// Against words said often.
    pub frequency_penalty: Option<f64>,
    /// Against words said at all.
    pub presence_penalty: Option<f64>,
    /// For and against single tokens.
    pub logit_bias: Option<Box<RawValue>>,
    /// For the same answer to the same request.
    pub seed: Option<i64>,
    /// What the answer is expected to be.
    pub prediction: Option<Box<RawValue>>,
    /// Whether to keep the answer.
    pub store: Option<bool>,
    /// The client's notes.
    pub metadata: Option<Box<RawValue>>,
    /// How urgent it is.
    pub service_tier: Option<String>,
    /// The client's name for its user.
    pub user: Option<String>,
    /// The newer form of that.
    pub safety_identifier: Option<String>,
    /// Which requests begin alike.
    pub prompt_cache_key: Option<String>,
    /// How long to remember their beginning.
    pub prompt_cache_retention: Option<String>,
    /// Z.ai's own: whether the model thinks, whatever its name says.
    pub thinking: Option<Thinking>,
    /// How hard the model thinks.
    pub reasoning_effort: Option<String>,
    /// z2api's own: how to show the thinking of this answer.
    pub reasoning_format: Option<String>,
    /// Fields that an API of another form had beside these, and that were dropped.
    #[serde(skip)]
    pub dropped: Vec<&'static str>,
    /// Stop words that the upstream is not told: it would heed them without telling which it met.
    #[serde(skip)]
    pub stop_here: Vec<String>,
    /// What the client calls these fields, if it wrote a request of an API of another form.
    #[serde(skip)]
    pub names: Names,
}

/// `thinking`, in the words of Z.ai's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Thinking {
    /// Whether to think.
    #[serde(rename = "type")]
    pub kind: ThinkingKind,
    /// Whether to forget the thinking of earlier turns.
    pub clear_thinking: Option<bool>,
}

/// Whether to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingKind {
    /// Think before answering.
    Enabled,
    /// Answer at once.
    Disabled,
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct StreamOptions {
    /// Whether a last chunk tells the usage.
    pub include_usage: Option<bool>,
    /// Whether to pad chunks to hide their length.
    pub include_obfuscation: Option<bool>,
}

/// `stop`: one word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a string or an array of strings")]
pub enum Stop {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Stop {
    /// The words as a list.
    pub fn into_words(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_text_or_parts() {
        let request: ChatRequest = serde_json::from_str(
            r#"{"model":"m","messages":[{"role":"user","content":"a"},
                {"role":"user","content":[{"type":"text","text":"b"},
                {"type":"image_url","image_url":{"url":"data:x"}}]},
                {"role":"assistant","content":null,"tool_calls":[]}],"unknown":{"deep":[1]}}"#,
        )
        .unwrap();
        assert!(matches!(&request.messages[0].content, Some(Content::Text(text)) if text == "a"));
        assert!(
            matches!(&request.messages[1].content, Some(Content::Parts(parts)) if parts.len() == 2)
        );
        assert!(request.messages[2].content.is_none());
    }

    #[test]
    fn a_known_field_given_twice_is_refused() {
        let twice = r#"{"model":"a","model":"b","messages":[]}"#;
        assert!(serde_json::from_str::<ChatRequest>(twice).is_err());
    }
}
