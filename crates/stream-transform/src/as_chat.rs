//! What the requests of other APIs are made of, in the shapes of Chat Completions.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use z2api_wire::names::Origin;
use z2api_wire::openai::request::{Content, Message, Part, Role, Thinking, ThinkingKind};

use crate::request::{RequestError, invalid, unsupported};

/// Messages, and where in the client's request each of them came from.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pub(crate) messages: Vec<Message>,
    pub(crate) origins: Vec<Origin>,
}

impl Turns {
    pub(crate) fn push(&mut self, message: Message, origin: Origin) {
        self.messages.push(message);
        self.origins.push(origin);
    }
}

/// `{"type": "function", "function": …}`.
#[derive(Debug, Serialize)]
pub(crate) struct OfFunction<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: T,
}

impl<T> OfFunction<T> {
    pub(crate) fn new(function: T) -> Self {
        Self { kind: "function", function }
    }
}

/// A function that is offered.
#[derive(Debug, Serialize)]
pub(crate) struct Offered<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<bool>,
}

/// A function that was called.
#[derive(Debug, Serialize)]
pub(crate) struct Call {
    id: String,
    #[serde(flatten)]
    called: OfFunction<Called>,
}

#[derive(Debug, Serialize)]
struct Called {
    name: String,
    arguments: String,
}

impl Call {
    pub(crate) fn new(id: String, name: String, arguments: String) -> Self {
        Self { id, called: OfFunction::new(Called { name, arguments }) }
    }
}

/// A message that only says something.
pub(crate) fn said(role: Role, content: Content) -> Message {
    Message { role, content: Some(content), ..Message::user("") }
}

/// A turn, which may have thought and called before others answer. One of calls alone says nothing.
pub(crate) fn turn(role: Role, thinking: &[String], parts: Vec<Part>, calls: &[Call]) -> Message {
    let content = match parts.is_empty() {
        true => calls.is_empty().then(|| Content::Text(String::new())),
        false => Some(Content::Parts(parts)),
    };
    Message {
        role,
        content,
        reasoning_content: (!thinking.is_empty()).then(|| thinking.join("\n\n")),
        tool_calls: (!calls.is_empty()).then(|| json(&calls)),
        ..Message::user("")
    }
}

/// What a call gave.
pub(crate) fn outcome(call: String, text: String) -> Message {
    Message { tool_call_id: Some(call), ..said(Role::Tool, Content::Text(text)) }
}

/// `thinking`, on or off.
pub(crate) fn switched(on: bool) -> Thinking {
    let kind = if on { ThinkingKind::Enabled } else { ThinkingKind::Disabled };
    Thinking { kind, clear_thinking: None }
}

/// Refuses a tool that is no function of the client's. `way_out` follows the reason.
pub(crate) fn no_such_tool<T>(place: &str, kind: &str, way_out: &str) -> Result<T, RequestError> {
    let kind: String = kind.chars().take(40).collect();
    unsupported(place, &format!("the upstream has no tools of the type {kind:?}{way_out}"))
}

/// A field that must be there.
pub(crate) fn need<T>(value: Option<T>, place: &str, field: &str) -> Result<T, RequestError> {
    let param = format!("{place}.{field}");
    value.map_or_else(|| invalid(&param, format!("`{param}` is missing.")), Ok)
}

/// Strings, and JSON that was read as such, can always be written.
pub(crate) fn json(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("our own types are JSON")
}
