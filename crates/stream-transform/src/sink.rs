//! Where an answer is said to.

use std::ops::Range;

use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};

/// What names an answer: the same in all chunks of its stream.
#[derive(Debug, Clone)]
pub struct AnswerId {
    /// `chatcmpl-` and a random part.
    pub id: String,
    /// Unix time in seconds.
    pub created: u64,
    /// The model as the client asked for it.
    pub model: String,
}

/// A stretch of the content that rests on a page the upstream's search has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Where the page is.
    pub url: String,
    /// Its title, or its URL if it has none.
    pub title: String,
    /// The stretch, in characters (Unicode scalar values) of the whole content. Empty, at the
    /// content's end, for a page that was found but is not cited.
    pub range: Range<usize>,
}

/// Why an answer cannot be told in the words of the client's API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsayable {
    /// A call's arguments have no place in the API.
    #[error("the model called the tool {tool:?} with arguments that are not {wanted}")]
    BadArguments {
        /// The tool's name.
        tool: String,
        /// What they would have to be.
        wanted: &'static str,
    },
    /// The API tells one call after the other, and the first is told already.
    #[error("the upstream mixed the pieces of several tool calls")]
    MixedCalls,
}

/// Hears an answer piece by piece, in order.
pub trait Sink {
    /// A piece of `content`.
    fn content(&mut self, text: &str);
    /// A piece of `reasoning_content`.
    fn reasoning(&mut self, text: &str);
    /// A piece of a tool call.
    fn tool_call(&mut self, call: &ToolCallDelta<'_>);
    /// What the content rests on. Once, before [`Sink::finish`], and only if there is any.
    fn annotations(&mut self, annotations: Vec<Annotation>);
    /// The stop word that ended the answer, where it was not the upstream that stopped at it. Once,
    /// before [`Sink::finish`].
    fn stop_word(&mut self, word: &str) {
        let _ = word;
    }
    /// What one upstream event had to say is said.
    fn event_end(&mut self) {}
    /// It has gathered more than it may hold: the answer must fail.
    fn is_full(&self) -> bool {
        false
    }
    /// Why the answer cannot be told if it ends for this reason. Asked once all pieces have been
    /// heard; [`Sink::finish`] follows only if there is none.
    fn unsayable(&self, reason: FinishReason) -> Option<Unsayable> {
        let _ = reason;
        None
    }
    /// The answer is whole. Nothing follows.
    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>);
}
