//! A response object and the items of its output.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::event::{FinishReason, Usage};
use z2api_wire::openai::responses::{Reasoning, ResponsesRequest, Tool};

use crate::fold::{Folded, FoldedCall};
use crate::sink::{Annotation, AnswerId};

/// What a response repeats of its request.
#[derive(Debug, Serialize)]
pub struct Frame {
    #[serde(skip)]
    id: AnswerId,
    instructions: Option<String>,
    max_output_tokens: Option<u64>,
    metadata: Option<Box<RawValue>>,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    reasoning: Reasoning,
    store: bool,
    temperature: Option<f64>,
    text: Text,
    tool_choice: Box<RawValue>,
    tools: Vec<Tool>,
    top_p: Option<f64>,
    truncation: &'static str,
    user: Option<String>,
}

#[derive(Debug, Serialize)]
struct Text {
    format: Box<RawValue>,
}

impl Frame {
    /// Takes from the request what its response repeats.
    pub fn new(request: ResponsesRequest) -> Self {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("it is JSON");
        let reasoning = Reasoning { effort: None, summary: None };
        let format = request.text.and_then(|text| text.format);
        Self {
            id: AnswerId { id: String::new(), created: 0, model: request.model },
            instructions: request.instructions,
            max_output_tokens: request.max_output_tokens,
            metadata: Some(request.metadata.unwrap_or_else(|| raw("{}"))),
            parallel_tool_calls: request.parallel_tool_calls.unwrap_or(true),
            previous_response_id: request.previous_response_id,
            reasoning: request.reasoning.unwrap_or(reasoning),
            store: request.store.unwrap_or(true),
            temperature: request.temperature,
            text: Text { format: format.unwrap_or_else(|| raw(r#"{"type":"text"}"#)) },
            tool_choice: request.tool_choice.unwrap_or_else(|| raw(r#""auto""#)),
            tools: request.tools.unwrap_or_default(),
            top_p: request.top_p,
            truncation: "disabled",
            user: request.user,
        }
    }

    /// Names the response.
    #[must_use]
    pub fn named(mut self, id: &AnswerId) -> Self {
        self.id = id.clone();
        self
    }

    /// Whether the thinking is told as a summary, since the client asked for one; otherwise it is
    /// told as what it is, the model's own words.
    pub(super) fn summarizes(&self) -> bool {
        self.reasoning.summary.as_deref().is_some_and(|kind| kind != "none")
    }

    /// An id for an item of the output.
    pub(super) fn item_id(&self, prefix: &str, at: usize) -> String {
        let random = self.id.id.rsplit('_').next().unwrap_or_default();
        format!("{prefix}_{random}{at:02x}")
    }
}

/// A response as it stands.
#[derive(Debug, Serialize)]
pub(super) struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: Status,
    error: Option<Failure<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: &'a [Item],
    usage: Option<Tokens>,
    #[serde(flatten)]
    frame: &'a Frame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

impl Status {
    /// Of the last item of an answer that ended for this reason: one that was cut is not whole.
    pub(super) fn of_last(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop | FinishReason::ToolCalls => Self::Completed,
            FinishReason::Length | FinishReason::ContentFilter => Self::Incomplete,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Tokens {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<&Usage> for Tokens {
    /// The details are not optional in this API: what is not known is 0.
    fn from(usage: &Usage) -> Self {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        let reasoning =
            usage.completion_tokens_details.and_then(|details| details.reasoning_tokens);
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: cached.unwrap_or(0),
                cache_write_tokens: 0,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: reasoning.unwrap_or(0) },
            total_tokens: usage.total_tokens,
        }
    }
}

impl<'a> Response<'a> {
    pub(super) fn in_progress(frame: &'a Frame, output: &'a [Item]) -> Self {
        Self {
            id: &frame.id.id,
            object: "response",
            created_at: frame.id.created,
            status: Status::InProgress,
            error: None,
            incomplete_details: None,
            model: &frame.id.model,
            output,
            usage: None,
            frame,
        }
    }

    pub(super) fn failed(frame: &'a Frame, output: &'a [Item], error: Failure<'a>) -> Self {
        let status = Status::Failed;
        Self { status, error: Some(error), ..Self::in_progress(frame, output) }
    }

    pub(super) fn ended(
        frame: &'a Frame,
        output: &'a [Item],
        reason: FinishReason,
        usage: Option<&Usage>,
    ) -> Self {
        let incomplete = match reason {
            FinishReason::Stop | FinishReason::ToolCalls => None,
            FinishReason::Length => Some(Incomplete { reason: "max_output_tokens" }),
            FinishReason::ContentFilter => Some(Incomplete { reason: "content_filter" }),
        };
        Self {
            status: if incomplete.is_some() { Status::Incomplete } else { Status::Completed },
            incomplete_details: incomplete,
            usage: usage.map(Tokens::from),
            ..Self::in_progress(frame, output)
        }
    }

    /// What the event of such an end is called.
    pub(super) fn event(&self) -> &'static str {
        match self.status {
            Status::InProgress => "response.in_progress",
            Status::Completed => "response.completed",
            Status::Incomplete => "response.incomplete",
            Status::Failed => "response.failed",
        }
    }
}

/// An item of the output.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Vec<Part>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Part>,
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
        name: String,
        arguments: String,
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

impl Item {
    pub(super) fn reasoning(id: String, text: String, as_summary: bool, status: Status) -> Self {
        let none = text.is_empty();
        let (summary, content) = match (none, as_summary) {
            (true, _) => (Vec::new(), Vec::new()),
            (false, true) => (vec![Part::Summary { text }], Vec::new()),
            (false, false) => (Vec::new(), vec![Part::Reasoning { text }]),
        };
        Self::Reasoning { id, summary, content, status }
    }

    pub(super) fn message(id: String, content: Vec<Part>, status: Status) -> Self {
        Self::Message { id, role: "assistant", content, status }
    }
}

impl Item {
    fn set_status(&mut self, new: Status) {
        match self {
            Self::Reasoning { status, .. }
            | Self::Message { status, .. }
            | Self::FunctionCall { status, .. } => *status = new,
        }
    }

    /// The text of a message.
    pub(super) fn text_mut(&mut self) -> Option<&mut Part> {
        match self {
            Self::Message { content, .. } => content.last_mut(),
            Self::Reasoning { .. } | Self::FunctionCall { .. } => None,
        }
    }
}

impl Part {
    pub(super) fn annotate(&mut self, added: &[Annotation]) {
        match self {
            Self::Output { annotations, .. } => {
                *annotations = added.iter().map(Citation::from).collect();
            }
            Self::Summary { .. } | Self::Reasoning { .. } => {}
        }
    }
}

/// The text of a message.
pub(super) fn output_text(text: String, annotations: &[Annotation]) -> Part {
    let annotations = annotations.iter().map(Citation::from).collect();
    Part::Output { text, annotations, logprobs: [] }
}

/// The JSON of the response with this answer.
pub fn response(frame: &Frame, answer: Folded<'_>) -> Vec<u8> {
    let mut output: Vec<Item> = Vec::new();
    let done = Status::Completed;
    if !answer.reasoning.is_empty() {
        let (id, text) = (frame.item_id("rs", 0), answer.reasoning.to_owned());
        output.push(Item::reasoning(id, text, frame.summarizes(), done));
    }
    if !answer.content.is_empty() || (answer.tool_calls.is_empty() && output.is_empty()) {
        let part = output_text(answer.content.to_owned(), answer.annotations);
        let id = frame.item_id("msg", output.len());
        output.push(Item::message(id, vec![part], done));
    }
    for call in answer.tool_calls {
        let FoldedCall { id, name, arguments, .. } = call.clone();
        let item_id = frame.item_id("fc", output.len());
        output.push(Item::FunctionCall { id: item_id, call_id: id, name, arguments, status: done });
    }
    if let Some(last) = output.last_mut() {
        last.set_status(Status::of_last(answer.finish_reason));
    }
    let response = Response::ended(frame, &output, answer.finish_reason, answer.usage);
    serde_json::to_vec(&response).expect("a response is JSON")
}
