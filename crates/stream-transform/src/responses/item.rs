//! The items of a response's output.

use serde::Serialize;

use super::custom::Input;
use super::frame::Frame;
use super::names::{Form, OwnName};
use super::output::Status;
use crate::opaque;
use crate::sink::{Annotation, Unsayable};

/// An item of the output.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Vec<Part>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Part>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
        status: Status,
    },
    Message {
        id: String,
        role: &'static str,
        content: Vec<Part>,
        status: Status,
    },
    FunctionCall {
        id: String,
        call_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        name: String,
        arguments: String,
        status: Status,
    },
    CustomToolCall {
        id: String,
        call_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        name: String,
        input: String,
        status: Status,
    },
}

/// A part of an item.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type")]
pub(super) enum Part {
    #[serde(rename = "summary_text")]
    Summary { text: String },
    #[serde(rename = "reasoning_text")]
    Reasoning { text: String },
    #[serde(rename = "output_text")]
    Output { text: String, annotations: Vec<Citation>, logprobs: [(); 0] },
}

/// A page that the text rests on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Citation {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    title: String,
    start_index: usize,
    end_index: usize,
}

/// A call, and which of the client's tools it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) call_id: String,
    pub(super) tool: OwnName,
    pub(super) form: Form,
}

impl Called {
    /// By the name that the upstream knows.
    pub(super) fn new(frame: &Frame, call_id: &str, name: &str) -> Self {
        let (tool, form) = frame.names().own(name);
        Self { call_id: call_id.to_owned(), tool, form }
    }

    /// What the ids of its items begin with.
    pub(super) fn prefix(&self) -> &'static str {
        match self.form {
            Form::Function => "fc",
            Form::Custom => "ctc",
        }
    }

    /// What the call of a custom tool must hold.
    pub(super) fn no_input(&self) -> Unsayable {
        let wanted = "a JSON object with the string `input` alone";
        Unsayable::BadArguments { tool: self.tool.name.clone(), wanted }
    }
}

impl Item {
    /// Thinking. That which is whole can be given back, if the client has asked for that.
    pub(super) fn reasoning(frame: &Frame, id: String, text: String, status: Status) -> Self {
        let whole = frame.opaque() && status != Status::InProgress && !text.is_empty();
        let encrypted_content = whole.then(|| opaque::write(&text));
        let (summary, content) = match (text.is_empty(), frame.summarizes()) {
            (true, _) => (Vec::new(), Vec::new()),
            (false, true) => (vec![Part::thinking(frame, text)], Vec::new()),
            (false, false) => (Vec::new(), vec![Part::thinking(frame, text)]),
        };
        Self::Reasoning { id, summary, content, encrypted_content, status }
    }

    pub(super) fn message(id: String, content: Vec<Part>, status: Status) -> Self {
        Self::Message { id, role: "assistant", content, status }
    }

    /// A call, with what a function takes as JSON, and a custom tool as free text.
    pub(super) fn call(id: String, called: Called, text: String, status: Status) -> Self {
        let Called { call_id, tool: OwnName { namespace, name }, form } = called;
        match form {
            Form::Function => {
                Self::FunctionCall { id, call_id, namespace, name, arguments: text, status }
            }
            Form::Custom => {
                Self::CustomToolCall { id, call_id, namespace, name, input: text, status }
            }
        }
    }

    /// The text of a message.
    pub(super) fn text_mut(&mut self) -> Option<&mut Part> {
        match self {
            Self::Message { content, .. } => content.last_mut(),
            Self::Reasoning { .. } | Self::FunctionCall { .. } | Self::CustomToolCall { .. } => {
                None
            }
        }
    }
}

/// The free text in whole arguments; `torn` ones are told as far as they go.
pub(super) fn free_text(called: &Called, arguments: &str, torn: bool) -> Result<String, Unsayable> {
    let (mut input, mut text) = (Input::default(), String::new());
    input.hear(arguments, &mut |said| text.push_str(said));
    if input.is_whole() || torn { Ok(text) } else { Err(called.no_input()) }
}

impl Part {
    /// Thinking, as a summary where the client has asked for one.
    pub(super) fn thinking(frame: &Frame, text: String) -> Self {
        if frame.summarizes() { Self::Summary { text } } else { Self::Reasoning { text } }
    }

    /// The text of a message.
    pub(super) fn output_text(text: String, annotations: &[Annotation]) -> Self {
        let annotations = annotations.iter().map(Citation::from).collect();
        Self::Output { text, annotations, logprobs: [] }
    }

    pub(super) fn annotate(&mut self, added: &[Annotation]) {
        match self {
            Self::Output { annotations, .. } => {
                *annotations = added.iter().map(Citation::from).collect();
            }
            Self::Summary { .. } | Self::Reasoning { .. } => {}
        }
    }
}

impl From<&Annotation> for Citation {
    fn from(annotation: &Annotation) -> Self {
        Self {
            kind: "url_citation",
            url: annotation.url.clone(),
            title: annotation.title.clone(),
            start_index: annotation.range.start,
            end_index: annotation.range.end,
        }
    }
}
