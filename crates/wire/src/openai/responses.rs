//! The request of the Responses API as clients send it. Unknown fields are passed over.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Object;

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
    /// The client's tools, and OpenAI's own: an array of [`Tool`].
    pub tools: Option<Box<RawValue>>,
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
    /// What else to tell, such as `reasoning.encrypted_content`.
    pub include: Option<Vec<String>>,
    /// What becomes of a conversation that is too long.
    pub truncation: Option<Truncation>,
    /// The most calls of OpenAI's own tools.
    pub max_tool_calls: Option<u64>,
    /// How urgent it is.
    pub service_tier: Option<String>,
    /// The newer form of `user`.
    pub safety_identifier: Option<String>,
    /// Which requests begin alike.
    pub prompt_cache_key: Option<String>,
    /// How long to remember their beginning.
    pub prompt_cache_retention: Option<String>,
    /// The newer form of that.
    pub prompt_cache_options: Option<IgnoredAny>,
    /// Whether OpenAI is to shorten the conversation by itself.
    pub context_management: Option<IgnoredAny>,
    /// Whether OpenAI is to judge what is said.
    pub moderation: Option<IgnoredAny>,
}

/// `truncation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// The oldest items go.
    Auto,
    /// The request fails.
    Disabled,
}

/// `input`: a user's text, or items, in order.
pub type Input = TextOr<Item>;

/// Text, or parts.
pub type Parts = TextOr<Part>;

/// Text, or a list of objects.
#[derive(Debug)]
pub enum TextOr<T> {
    /// Plain text.
    Text(String),
    /// Objects, in order.
    List(Vec<T>),
}

/// By hand, since serde's untagged enums lose the path of an error within and copy all text twice.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
            type Value = TextOr<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of objects")
            }
            fn visit_str<E>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<TextOr<T>, A::Error> {
                Object::list(SeqAccessDeserializer::new(list)).map(TextOr::List)
            }
        }
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

/// `text`.
#[derive(Debug, Default, Deserialize)]
pub struct TextOptions {
    /// The form of the text.
    pub format: Option<Box<RawValue>>,
    /// How long it should be.
    pub verbosity: Option<String>,
}

/// A form of the text.
#[derive(Debug, Deserialize)]
pub struct TextFormat<'a> {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a schema is called.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The schema.
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
    /// Whether to follow it to the letter.
    pub strict: Option<bool>,
}

/// `reasoning`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Reasoning {
    /// How hard to think.
    pub effort: Option<String>,
    /// Whether, and how, to tell the thinking as a summary.
    pub summary: Option<String>,
    /// The older name of that.
    #[serde(skip_serializing)]
    pub generate_summary: Option<String>,
    /// Which turns' thinking the model is shown again.
    #[serde(skip_serializing)]
    pub context: Option<String>,
    /// Which kind of thinking.
    #[serde(skip_serializing)]
    pub mode: Option<String>,
}

/// A tool.
#[derive(Debug, Deserialize)]
pub struct Tool<'a> {
    /// `function` or `custom` for a tool of the client's, `namespace` for several; otherwise one of
    /// OpenAI's own.
    #[serde(rename = "type")]
    pub kind: String,
    /// The tool's name.
    pub name: Option<String>,
    /// What it is good for.
    pub description: Option<String>,
    /// Of a function: a schema of its arguments.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    /// Of a function: whether the arguments must follow the schema to the letter.
    pub strict: Option<bool>,
    /// Of a custom tool: the form of its input.
    pub format: Option<ToolFormat>,
    /// Of a namespace: the tools in it.
    #[serde(borrow)]
    pub tools: Option<Vec<Object<Tool<'a>>>>,
    /// Of `web_search`: which pages may be found.
    pub filters: Option<IgnoredAny>,
    /// Of `web_search`: how much of what is found is to be read.
    pub search_context_size: Option<IgnoredAny>,
    /// Of `web_search`: where the user is.
    pub user_location: Option<IgnoredAny>,
    /// Of `web_search`: whether pages are fetched, or only an index of OpenAI's is asked.
    pub external_web_access: Option<bool>,
}

/// The form of a custom tool's input.
#[derive(Debug, Deserialize)]
pub struct ToolFormat {
    /// `text`, or `grammar`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The language of the grammar.
    pub syntax: Option<String>,
    /// The grammar.
    pub definition: Option<String>,
}

/// An item of the input: its kind, and the fields of whichever kind. Without a kind it is a
/// message.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// `message`, `reasoning`, `function_call` or `custom_tool_call` and their `_output`, or a kind
    /// that is not known here.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Who speaks in a message.
    pub role: Option<Role>,
    /// What a message says, or the text of a reasoning.
    pub content: Option<Parts>,
    /// The summary of a reasoning.
    pub summary: Option<Vec<Part>>,
    /// A reasoning in a form that clients do not read.
    pub encrypted_content: Option<String>,
    /// Which call a tool's call or its outcome is.
    pub call_id: Option<String>,
    /// The tool that was called.
    pub name: Option<String>,
    /// The namespace it is in.
    pub namespace: Option<String>,
    /// What a function was called with: JSON text.
    pub arguments: Option<String>,
    /// What a custom tool was called with.
    pub input: Option<String>,
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

/// A part: its kind, and the fields of whichever kind.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// `input_text`, `output_text`, `input_image`, `input_file`, `refusal`, `summary_text`,
    /// `reasoning_text`, or a kind that is not known here.
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
    /// Where a file is.
    pub file_url: Option<String>,
}
