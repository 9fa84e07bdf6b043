//! The parts of a request that ride along as JSON, typed to look into them.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One of `tools`.
#[derive(Debug, Deserialize)]
pub struct Tool<'a> {
    /// `function`, or a kind of the upstream's own.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function.
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

/// A function that the model may call.
#[derive(Debug, Deserialize)]
pub struct Function<'a> {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// What it takes, as a JSON schema.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    /// Whether the schema is to be kept to the letter.
    pub strict: Option<bool>,
}

impl Function<'_> {
    /// What is wrong with it, and in which of its fields.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(plain) {
            return Some(("name", "must be 1 to 64 letters, digits, underscores and dashes"));
        }
        let is_object = |json: &RawValue| json.get().starts_with('{');
        if self.parameters.is_some_and(|json| !is_object(json)) {
            return Some(("parameters", "must be an object (a JSON schema)"));
        }
        None
    }
}

/// Whether two functions have the same name, and which is the second.
pub fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<usize> {
    let mut seen = HashSet::new();
    names.into_iter().position(|name| !seen.insert(name))
}

/// `tool_choice` and `function_call`, where they are objects.
#[derive(Debug, Deserialize)]
pub struct Choice {
    /// The kind, such as `function`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// One of an assistant turn's `tool_calls`.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// `function`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What is called.
    pub function: Called,
}

/// A function that an assistant turn called.
#[derive(Debug, Deserialize, serde::Serialize)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// `response_format`.
#[derive(Debug, Deserialize)]
pub struct ResponseFormat {
    /// Which form.
    #[serde(rename = "type")]
    pub kind: ResponseKind,
}

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseKind {
    /// Any text.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema,
}
