//! The request as Anthropic's clients send it. Unknown fields are passed over; a block of a kind
//! that is not known here keeps its kind's name, so that it can be refused by it.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::value::RawValue;

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
    /// What to tell about the cache.
    pub diagnostics: Option<Mark>,
    /// For whom the request is.
    pub user_profile_id: Option<Mark>,
}

/// A field of which only matters that it is there.
pub type Mark = de::IgnoredAny;

/// `context_management`.
#[derive(Debug, Deserialize)]
pub struct ContextManagement {
    /// What to do, in order.
    pub edits: Option<Vec<Edit>>,
}

/// One of the edits of a conversation.
#[derive(Debug, Deserialize)]
pub struct Edit {
    /// A dated name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to keep of it.
    pub keep: Option<Box<RawValue>>,
}

impl ContextManagement {
    /// Whether the thinking of all earlier turns is to stay.
    pub fn keeps_thinking(&self) -> bool {
        self.edits.iter().flatten().any(Edit::keeps_thinking)
    }
}

impl Edit {
    /// Whether it takes nothing out: of the thinking, it keeps all.
    pub fn keeps_thinking(&self) -> bool {
        let all = self.keep.as_ref().is_some_and(|keep| keep.get() == "\"all\"");
        all && self.kind.starts_with("clear_thinking_")
    }
}

/// `metadata`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The client's name for its user.
    pub user_id: Option<String>,
}

/// `output_config`.
#[derive(Debug, Deserialize)]
pub struct OutputConfig {
    /// A schema that the answer has to follow.
    pub format: Option<Box<RawValue>>,
    /// How much effort to spend.
    pub effort: Option<String>,
}

/// `thinking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Thinking {
    /// Think, with at most so many tokens.
    Enabled {
        /// A bound that this upstream has no parameter for.
        budget_tokens: Option<u64>,
        /// Whether to show it.
        display: Option<Display>,
    },
    /// Think as seems fit.
    Adaptive {
        /// Whether to show it.
        display: Option<Display>,
    },
    /// Do not think.
    Disabled,
}

/// Whether the thinking is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Display {
    /// It is.
    Summarized,
    /// It is not.
    Omitted,
}

impl Thinking {
    /// Whether the model is to think.
    pub fn is_on(self) -> bool {
        match self {
            Self::Enabled { .. } | Self::Adaptive { .. } => true,
            Self::Disabled => false,
        }
    }

    /// Whether the thinking is not to be shown.
    pub fn is_hidden(self) -> bool {
        match self {
            Self::Enabled { display, .. } | Self::Adaptive { display } => {
                display == Some(Display::Omitted)
            }
            Self::Disabled => false,
        }
    }
}

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
#[serde(untagged, expecting = "must be a string or an array of text blocks")]
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

/// A tool.
#[derive(Debug, Deserialize)]
pub struct Tool {
    /// `custom` or absent for a tool of the client's; a dated name for one of Anthropic's own.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The tool's name.
    pub name: String,
    /// What it is good for.
    pub description: Option<String>,
    /// A schema of its input.
    pub input_schema: Option<Box<RawValue>>,
    /// Whether calls keep to the schema to the letter.
    pub strict: Option<bool>,
    /// Whether it is hidden until a search for tools finds it.
    pub defer_loading: Option<bool>,
    /// How calls may look.
    pub input_examples: Option<Mark>,
    /// Of a search: how often.
    pub max_uses: Option<Mark>,
    /// Of a search: where alone.
    pub allowed_domains: Option<Mark>,
    /// Of a search: where not.
    pub blocked_domains: Option<Mark>,
    /// Of a search: for somebody who is there.
    pub user_location: Option<Mark>,
    /// What to remember.
    pub cache_control: Option<Mark>,
}

/// `tool_choice`.
#[derive(Debug, Deserialize)]
pub struct ToolChoice {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ToolChoiceKind,
    /// The tool's name, of [`ToolChoiceKind::Tool`].
    pub name: Option<String>,
    /// At most one call.
    pub disable_parallel_tool_use: Option<bool>,
}

/// Which tool to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoiceKind {
    /// As the model sees fit.
    Auto,
    /// Some tool.
    Any,
    /// The tool that is named.
    Tool,
    /// No tool.
    None,
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
