//! A response object.

use serde::Serialize;
use z2api_wire::event::{FinishReason, Usage};

use super::frame::Frame;
use super::item::{Called, Item, Part, free_text};
use super::names::Form;
use super::places::Places;
use crate::fold::{Folded, FoldedCall, Piece};
use crate::sink::Unsayable;

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
            FinishReason::Length | FinishReason::ContextFull | FinishReason::ContentFilter => {
                Self::Incomplete
            }
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
            id: &frame.id().id,
            object: "response",
            created_at: frame.id().created,
            status: Status::InProgress,
            error: None,
            incomplete_details: None,
            model: &frame.id().model,
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
            FinishReason::Length | FinishReason::ContextFull => {
                Some(Incomplete { reason: "max_output_tokens" })
            }
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

/// The JSON of the response with this answer: the items in the order in which a stream has them.
///
/// # Errors
/// [`Unsayable::BadArguments`], if a custom tool was called with something else than text.
pub fn response(frame: &Frame, answer: Folded<'_>) -> Result<Vec<u8>, Unsayable> {
    let pieces = answer.pieces();
    let count = pieces.len();
    let mut output: Vec<Item> = Vec::with_capacity(count);
    let (mut places, mut left) = (Places::new(answer.annotations), answer.content.len());
    let end = Status::of_last(answer.finish_reason);
    for (place, piece) in pieces.enumerate() {
        let is_last = place + 1 == count;
        let status = if is_last { end } else { Status::Completed };
        let at = output.len();
        output.push(match piece {
            Piece::Reasoning(text) => {
                Item::reasoning(frame, frame.item_id("rs", at), text.to_owned(), status)
            }
            Piece::Content(text) => {
                left -= text.len();
                let annotations = places.next(text.chars().count(), left == 0);
                let part = Part::output_text(text.to_owned(), &annotations);
                Item::message(frame.item_id("msg", at), vec![part], status)
            }
            Piece::Call(one) => call(frame, one, at, status)?,
        });
    }
    if output.is_empty() {
        let part = Part::output_text(String::new(), &[]);
        output.push(Item::message(frame.item_id("msg", 0), vec![part], end));
    }
    let response = Response::ended(frame, &output, answer.finish_reason, answer.usage);
    Ok(serde_json::to_vec(&response).expect("a response is JSON"))
}

fn call(frame: &Frame, call: &FoldedCall, at: usize, status: Status) -> Result<Item, Unsayable> {
    let called = Called::new(frame, &call.id, &call.name);
    let text = match called.form {
        Form::Function => call.arguments.clone(),
        Form::Custom => free_text(&called, &call.arguments, status != Status::Completed)?,
    };
    Ok(Item::call(frame.item_id(called.prefix(), at), called, text, status))
}
