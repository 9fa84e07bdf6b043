//! One answer: the upstream's events in, the client's answer out.

use z2api_wire::event::{Dialect, Event, FinishReason, Phase, ToolCallDelta, Usage};
use z2api_wire::fault::Fault;

use crate::markup::Piece;
use crate::message::{Kind, MAX_MESSAGE};
use crate::mode::ThinkMode;
use crate::sink::Sink;
use crate::sources::Sources;
use crate::view::{TooLarge, View};
use crate::voice::Voice;

/// How an answer is to be said.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The dialect the events come from.
    pub dialect: Dialect,
    /// How the thinking is shown.
    pub mode: ThinkMode,
    /// Words that end the answer, whether or not the upstream heeds them.
    pub stop: Vec<String>,
}

impl Options {
    /// Options without stop words.
    pub fn new(dialect: Dialect, mode: ThinkMode) -> Self {
        Self { dialect, mode, stop: Vec::new() }
    }
}

/// Whether more of the upstream is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Go on.
    More,
    /// The answer is whole: the upstream has ended, or a stop word was met. Call
    /// [`Transform::end`] and drop the upstream.
    Whole,
}

/// Why an answer cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// The upstream gave up.
    #[error("the upstream reports an error: {}", .0.message)]
    Upstream(Fault),
    /// The upstream's message is too large to follow its edits, or to be gathered.
    #[error("the upstream's answer is larger than {MAX_MESSAGE} bytes, or is edited without end")]
    TooLarge,
}

impl From<TooLarge> for TransformError {
    fn from(TooLarge: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// Turns the events of one answer into what a [`Sink`] hears. Holds no more than the upstream's
/// message (which its edits refer to) and the text that cannot be told yet.
#[derive(Debug)]
pub struct Transform {
    dialect: Dialect,
    view: View,
    voice: Voice,
    sources: Sources,
    calls: Vec<Call>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    unknown: u64,
}

/// What has been said of a call: its id and name are said once, whatever the upstream repeats.
#[derive(Debug)]
struct Call {
    index: u32,
    id: bool,
    name: bool,
}

impl Transform {
    /// A transform for one answer.
    pub fn new(options: Options) -> Self {
        Self {
            dialect: options.dialect,
            view: View::new(options.mode == ThinkMode::Raw),
            voice: Voice::new(options.mode, options.dialect, options.stop),
            sources: Sources::default(),
            calls: Vec::new(),
            finish: None,
            usage: None,
            unknown: 0,
        }
    }

    /// Takes the next event and says what is certain by now.
    ///
    /// # Errors
    /// [`TransformError`]; call [`Transform::abort`] then.
    pub fn push(
        &mut self,
        event: &Event<'_>,
        sink: &mut impl Sink,
    ) -> Result<Progress, TransformError> {
        let Self { view, voice, sources, .. } = self;
        let mut say = |piece: Piece<'_>| speak(piece, voice, sources, sink);
        match event {
            Event::Text { phase: Phase::Thinking, text } if self.dialect == Dialect::OpenAi => {
                say(Piece::Thinking(text));
            }
            Event::Text { text, .. } if self.dialect == Dialect::OpenAi => {
                say(Piece::Answer(text));
            }
            Event::Text { phase: Phase::ToolResponse, text } => {
                view.append(Kind { phase: Phase::ToolResponse, by_edit: false }, "", &mut say)?;
                sources.add_output(text);
            }
            Event::Text { phase, text } => {
                view.append(Kind { phase: *phase, by_edit: false }, text, &mut say)?;
            }
            Event::Edit { phase, index, text } => view.edit(*phase, *index, text, &mut say)?,
            Event::ToolCall(call) => self.tool_call(call, sink),
            Event::Search(found) => {
                for page in found {
                    sources.insert(&page.name, &page.title, &page.url);
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(reason) => self.finish = Some(*reason),
            Event::Error(fault) => return Err(TransformError::Upstream(fault.clone())),
            Event::Unknown(_) => self.unknown += 1,
            Event::End => return Ok(Progress::Whole),
        }
        sink.event_end();
        if sink.is_full() {
            return Err(TransformError::TooLarge);
        }
        Ok(if self.voice.stopped() { Progress::Whole } else { Progress::More })
    }

    /// The upstream has ended cleanly: says what was held back, why the model stopped, and the
    /// usage if it is known.
    pub fn end(&mut self, sink: &mut impl Sink) {
        let reason = self.finish_reason();
        self.settle(sink);
        self.voice.finish(reason, self.usage.as_ref(), &mut self.sources, sink);
    }

    /// The answer ends in an error: says what was held back and closes open tags, and no more.
    pub fn abort(&mut self, sink: &mut impl Sink) {
        self.settle(sink);
        self.voice.settle(sink);
        sink.event_end();
    }

    /// Why the model stopped, as far as it is known.
    pub fn finish_reason(&self) -> FinishReason {
        if self.voice.stopped() {
            return FinishReason::Stop;
        }
        match (self.dialect, self.finish) {
            (Dialect::ZaiWeb, _) if !self.calls.is_empty() => FinishReason::ToolCalls,
            (_, Some(reason)) => reason,
            (_, None) => FinishReason::Stop,
        }
    }

    /// The last usage the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// How many events had a shape this version does not know.
    pub fn unknown_events(&self) -> u64 {
        self.unknown
    }

    /// How many edits changed text that the client already had.
    pub fn edit_divergences(&self) -> u64 {
        self.view.divergences()
    }

    fn tool_call(&mut self, piece: &ToolCallDelta<'_>, sink: &mut impl Sink) {
        let known = self.calls.iter().position(|call| call.index == piece.index);
        let at = known.unwrap_or_else(|| {
            self.calls.push(Call { index: piece.index, id: false, name: false });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        let fresh = ToolCallDelta {
            index: piece.index,
            id: piece.id.clone().filter(|_| !std::mem::replace(&mut call.id, true)),
            name: piece.name.clone().filter(|_| !std::mem::replace(&mut call.name, true)),
            arguments: piece.arguments.clone(),
        };
        if fresh.id.is_some() || fresh.name.is_some() || !fresh.arguments.is_empty() {
            self.voice.tool_call(&fresh, sink);
        }
    }

    fn settle(&mut self, sink: &mut impl Sink) {
        let Self { view, voice, sources, .. } = self;
        view.settle(&mut |piece| speak(piece, voice, sources, sink));
    }
}

fn speak(piece: Piece<'_>, voice: &mut Voice, sources: &mut Sources, sink: &mut impl Sink) {
    match piece {
        Piece::Open(markup) => voice.open(markup, sink),
        Piece::Thinking(text) => voice.thinking(text, sink),
        Piece::BlockEnd => voice.block_end(sink),
        Piece::Answer(text) => voice.answer(text, sources, sink),
        Piece::ToolBlock(block) => sources.add_block(block),
    }
}
