//! The turns of a conversation and the blocks they are made of. A block of a kind that is not known
//! here keeps its kind's name, so that it can be refused by it.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::value::RawValue;

use super::request::Mark;

/// One turn of the conversation.
#[derive(Debug, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Blocks,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// Instructions in the middle of a conversation.
    System,
}

/// Text, or blocks of it.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or an array of text blocks")]
pub enum Text {
    /// Plain text.
    Plain(String),
    /// Blocks of text.
    Blocks(Vec<TextBlock>),
}

/// A block of text.
#[derive(Debug, Deserialize)]
pub struct TextBlock {
    /// The text.
    pub text: String,
    /// What to remember.
    pub cache_control: Option<Mark>,
}

/// What a turn says: text, or blocks.
#[derive(Debug)]
pub enum Blocks {
    /// Plain text.
    Text(String),
    /// Blocks, in order.
    List(Vec<Block>),
}

/// A block of a turn: its kind, and the fields of whichever kind. Flat, since raw JSON cannot stand
/// in an enum that serde tells apart by a tag.
#[derive(Debug, Deserialize)]
pub struct Block {
    /// `text`, `image`, `document`, `search_result`, `thinking`, `redacted_thinking`, `tool_use`,
    /// `tool_result`, or a kind that is not known here.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `text`.
    pub text: Option<String>,
    /// Where an image or a document is, or what a search result is from.
    pub source: Option<Source>,
    /// Of a `document` or a `search_result`.
    pub title: Option<String>,
    /// What to know about a `document`.
    pub context: Option<String>,
    /// Whether the answer is to cite a `document` or a `search_result`.
    pub citations: Option<Citations>,
    /// Of `thinking`.
    pub thinking: Option<String>,
    /// Of `thinking`: something that only who gave it can read.
    pub signature: Option<String>,
    /// The id of a `tool_use`.
    pub id: Option<String>,
    /// The tool's name of a `tool_use`.
    pub name: Option<String>,
    /// What the tool of a `tool_use` was called with.
    pub input: Option<Box<RawValue>>,
    /// Which call a `tool_result` is of.
    pub tool_use_id: Option<String>,
    /// What the call of a `tool_result` gave, if anything; what a `search_result` says.
    pub content: Option<Blocks>,
    /// Whether the call of a `tool_result` failed.
    pub is_error: Option<bool>,
    /// What to remember.
    pub cache_control: Option<Mark>,
}

/// `citations` of a request. Those of an answer that is given back are a list, which asks nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Citations {
    /// Of a document.
    Wanted {
        /// Whether to cite.
        enabled: bool,
    },
    /// Of anything else.
    Other(Mark),
}

/// Where an image or a document is, or what a search result is from.
#[derive(Debug)]
pub enum Source {
    /// A place in the request or elsewhere.
    At(Place),
    /// The name of a search result's source.
    Named(String),
}

/// Where an image or a document is.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Place {
    /// In the request.
    Base64 {
        /// Its media type.
        media_type: String,
        /// The bytes, in base64.
        data: String,
    },
    /// At a URL.
    Url {
        /// The URL.
        url: String,
    },
    /// In the request, as text.
    Text {
        /// The text.
        data: String,
    },
    /// In the request, as blocks.
    Content {
        /// Texts and images.
        content: Blocks,
    },
    /// A kind of source that is not known here.
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = Source;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with a type")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Source, E> {
                Ok(Source::Named(name.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                Place::deserialize(de::value::MapAccessDeserializer::new(map)).map(Source::At)
            }
        }
        deserializer.deserialize_any(SourceVisitor)
    }
}

impl<'de> Deserialize<'de> for Blocks {
    /// Not by `untagged`, which would hide where in a block a mistake is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlocksVisitor;
        impl<'de> Visitor<'de> for BlocksVisitor {
            type Value = Blocks;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an array of blocks")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blocks, E> {
                Ok(Blocks::Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Blocks, E> {
                Ok(Blocks::Text(text))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Blocks, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Blocks::List)
            }
        }
        deserializer.deserialize_any(BlocksVisitor)
    }
}
