//! A whole answer as a message of the Messages API.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::count::Size;
use super::{Asked, Counts, SIGNATURE, stop_reason};
use crate::fold::{Folded, FoldedCall, Piece};
use crate::opaque;
use crate::sink::{AnswerId, Unsayable};

/// A message.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    usage: Counts,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Thinking { thinking: &'a str, signature: Cow<'static, str> },
    Text { text: &'a str },
    ToolUse(ToolUse<'a>),
}

#[derive(Debug, Serialize)]
struct ToolUse<'a> {
    id: &'a str,
    name: &'a str,
    input: &'a RawValue,
}

impl<'a> Message<'a> {
    /// The message as it stands before anything has been said.
    pub(super) fn begin(id: &'a AnswerId, input_tokens: u64) -> Self {
        Self {
            id: &id.id,
            kind: "message",
            role: "assistant",
            model: &id.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: Counts { input_tokens, ..Counts::default() },
        }
    }
}

/// The JSON of the message with this answer: the blocks in the order in which a stream has them.
///
/// # Errors
/// [`Unsayable::BadArguments`].
pub fn message(answer: Folded<'_>, id: &AnswerId, asked: &Asked) -> Result<Vec<u8>, Unsayable> {
    let pieces = answer.pieces();
    let count = pieces.len();
    let mut content: Vec<Block<'_>> = Vec::with_capacity(count);
    for (place, piece) in pieces.enumerate() {
        let is_last = place + 1 == count;
        content.push(match piece {
            Piece::Reasoning(text) => thinking_block(text, asked.hides_thinking),
            Piece::Content(text) => Block::Text { text },
            Piece::Call(call) => match tool_use(call) {
                Ok(tool_use) => Block::ToolUse(tool_use),
                // The answer ran into its limit within the call, and says so: no client can run
                // half of it.
                Err(_) if is_last && answer.finish_reason.is_cut() => continue,
                Err(torn) => return Err(torn),
            },
        });
    }
    let message = Message {
        content,
        stop_reason: Some(stop_reason(answer.finish_reason, answer.stop_word)),
        stop_sequence: answer.stop_word,
        usage: Counts::of(answer.usage, asked.input_tokens, size_of(&answer)),
        ..Message::begin(id, asked.input_tokens)
    };
    Ok(serde_json::to_vec(&message).expect("a message is JSON"))
}

fn thinking_block(text: &str, hides: bool) -> Block<'_> {
    match hides {
        true => Block::Thinking { thinking: "", signature: opaque::write(text).into() },
        false => Block::Thinking { thinking: text, signature: SIGNATURE.into() },
    }
}

fn size_of(answer: &Folded<'_>) -> Size {
    let mut size = Size::default();
    size.add(answer.reasoning);
    size.add(answer.content);
    for call in answer.tool_calls {
        size.add(&call.name);
        size.add(&call.arguments);
    }
    size
}

/// The arguments as a JSON object, if they are one. None at all are an empty one.
pub(super) fn object(arguments: &str) -> Option<&RawValue> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments.trim() };
    let input = serde_json::from_str::<&RawValue>(arguments).ok();
    input.filter(|input| input.get().starts_with('{'))
}

/// What a message cannot hold.
pub(super) fn no_object(tool: &str) -> Unsayable {
    Unsayable::BadArguments { tool: tool.to_owned(), wanted: "a JSON object" }
}

fn tool_use(call: &FoldedCall) -> Result<ToolUse<'_>, Unsayable> {
    let input = object(&call.arguments).ok_or_else(|| no_object(&call.name))?;
    Ok(ToolUse { id: &call.id, name: &call.name, input })
}
