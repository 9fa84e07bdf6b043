//! The sink that gathers a whole answer.

use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};

use crate::message::MAX_MESSAGE;
use crate::sink::{Annotation, Sink};

/// What a piece of a call costs besides its text, in bytes.
const CALL: usize = 64;

/// What a stretch costs besides its text, in bytes: an API may tell it as an item of its own.
const STRETCH: usize = 256;

/// Gathers an answer, for whichever API it is then written in.
#[derive(Debug, Default)]
pub struct Fold {
    content: String,
    reasoning: String,
    tool_calls: Vec<FoldedCall>,
    call_bytes: usize,
    annotations: Vec<Annotation>,
    order: Vec<Stretch>,
    stop_word: Option<String>,
    end: Option<(FinishReason, Option<Usage>)>,
}

/// A stretch of an answer, of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// So many bytes of the thinking.
    Reasoning(usize),
    /// So many bytes of the text.
    Content(usize),
    /// The call at this place among the calls.
    Call(usize),
}

/// A call of one of the client's tools.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FoldedCall {
    /// Which call of the answer, as the upstream counts them.
    pub index: u32,
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments, JSON text if the model got it right.
    pub arguments: String,
}

/// A whole answer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Folded<'a> {
    /// The text.
    pub content: &'a str,
    /// The thinking, where it has a place of its own.
    pub reasoning: &'a str,
    /// The calls of the client's tools, in order.
    pub tool_calls: &'a [FoldedCall],
    /// What the text rests on.
    pub annotations: &'a [Annotation],
    /// In which order thinking, text and calls came.
    pub order: &'a [Stretch],
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// The stop word that ended the text, where it was not the upstream that stopped at it.
    pub stop_word: Option<&'a str>,
    /// Token counts, if the upstream told them.
    pub usage: Option<&'a Usage>,
}

/// What was said in one stretch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    Reasoning(&'a str),
    Content(&'a str),
    Call(&'a FoldedCall),
}

impl<'a> Folded<'a> {
    /// What was said, stretch by stretch.
    pub(crate) fn pieces(self) -> impl ExactSizeIterator<Item = Piece<'a>> {
        let (mut reasoning, mut content) = (self.reasoning, self.content);
        self.order.iter().map(move |stretch| match *stretch {
            Stretch::Reasoning(length) => Piece::Reasoning(take(&mut reasoning, length)),
            Stretch::Content(length) => Piece::Content(take(&mut content, length)),
            Stretch::Call(at) => Piece::Call(&self.tool_calls[at]),
        })
    }
}

/// Takes so many bytes from the front.
fn take<'a>(rest: &mut &'a str, length: usize) -> &'a str {
    let (piece, after) = rest.split_at(length);
    *rest = after;
    piece
}

impl Fold {
    /// The answer, or None while it is not whole.
    pub fn whole(&self) -> Option<Folded<'_>> {
        let (finish_reason, usage) = self.end.as_ref()?;
        Some(Folded {
            content: &self.content,
            reasoning: &self.reasoning,
            tool_calls: &self.tool_calls,
            annotations: &self.annotations,
            order: &self.order,
            finish_reason: *finish_reason,
            stop_word: self.stop_word.as_deref(),
            usage: usage.as_ref(),
        })
    }

    /// Whether a piece of this call has been gathered.
    pub(crate) fn has_call(&self, index: u32) -> bool {
        self.tool_calls.iter().any(|call| call.index == index)
    }

    /// Bytes gathered so far.
    pub fn len(&self) -> usize {
        self.content.len() + self.reasoning.len() + self.call_bytes
    }

    /// Whether nothing has been gathered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.tool_calls.is_empty()
    }
}

impl Sink for Fold {
    fn content(&mut self, text: &str) {
        self.content.push_str(text);
        match self.order.last_mut() {
            Some(Stretch::Content(length)) => *length += text.len(),
            Some(Stretch::Reasoning(_) | Stretch::Call(_)) | None => {
                self.order.push(Stretch::Content(text.len()));
            }
        }
    }

    fn reasoning(&mut self, text: &str) {
        self.reasoning.push_str(text);
        match self.order.last_mut() {
            Some(Stretch::Reasoning(length)) => *length += text.len(),
            Some(Stretch::Content(_) | Stretch::Call(_)) | None => {
                self.order.push(Stretch::Reasoning(text.len()));
            }
        }
    }

    fn tool_call(&mut self, piece: &ToolCallDelta<'_>) {
        let at = self.tool_calls.iter().position(|call| call.index == piece.index);
        let at = at.unwrap_or_else(|| {
            self.order.push(Stretch::Call(self.tool_calls.len()));
            self.tool_calls.push(FoldedCall { index: piece.index, ..FoldedCall::default() });
            self.tool_calls.len() - 1
        });
        let text = [piece.id.as_deref(), piece.name.as_deref(), Some(&piece.arguments)];
        self.call_bytes += CALL + text.into_iter().flatten().map(str::len).sum::<usize>();
        let call = &mut self.tool_calls[at];
        call.id.push_str(piece.id.as_deref().unwrap_or_default());
        call.name.push_str(piece.name.as_deref().unwrap_or_default());
        call.arguments.push_str(&piece.arguments);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.annotations = annotations;
    }

    fn stop_word(&mut self, word: &str) {
        self.stop_word = Some(word.to_owned());
    }

    fn is_full(&self) -> bool {
        self.len() + self.order.len() * STRETCH > MAX_MESSAGE
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.end = Some((reason, usage.copied()));
    }
}
