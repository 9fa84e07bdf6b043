//! The chat request as clients send it. Typed; what only rides along stays raw JSON.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The body of `POST /v1/chat/completions`. Unknown fields are passed over.
#[derive(Debug, Default, Deserialize)]
pub struct ChatRequest {
    /// The model's public name.
    pub model: String,
    /// The conversation, oldest first.
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
    /// The client's tools.
    pub tools: Option<Box<RawValue>>,
    /// Which tool to call.
    pub tool_choice: Option<Box<RawValue>>,
    /// The form of the answer.
    pub response_format: Option<Box<RawValue>>,
    /// The client's name for its user.
    pub user: Option<String>,
    /// Z.ai's own: whether the model thinks, whatever its name says.
    pub thinking: Option<Thinking>,
    /// How hard the model thinks.
    pub reasoning_effort: Option<String>,
    /// z2api's own: how to show the thinking of this answer.
    pub reasoning_format: Option<String>,
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
}

/// `stop`: one word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
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

/// One turn of the conversation.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. An assistant turn that only calls tools has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The speaker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The thinking of an earlier answer, given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The calls an assistant turn made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Box<RawValue>>,
    /// Which call a tool turn answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A user's turn of plain text.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: Some(Content::Text(text.into())),
            name: None,
            reasoning_content: None,
            tool_calls: None,
            tool_call_id: None,
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in OpenAI's newer word.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The outcome of a tool call.
    Tool,
    /// The outcome of a function call, in OpenAI's oldest word.
    Function,
}

/// What is said: text, or parts.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged, expecting = "content must be a string or an array of parts with a type")]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts.
    Parts(Vec<Part>),
}

/// A part of what is said.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A refusal of an earlier answer.
    Refusal {
        /// Its words.
        refusal: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is: a URL, or a `data:` URL that holds it.
        image_url: ImageUrl,
    },
    /// A video, for upstream models that see.
    VideoUrl {
        /// Where it is.
        video_url: ImageUrl,
    },
    /// A file, for upstream models that read.
    FileUrl {
        /// Where it is.
        file_url: ImageUrl,
    },
}

/// Where an image is.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ImageUrl {
    /// A URL, or a `data:` URL that holds the image.
    pub url: String,
    /// How closely to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
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
