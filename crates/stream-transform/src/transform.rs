//! One answer: the upstream's events in, the client's answer out.

use z2api_wire::event::{Dialect, Event, FinishReason, Phase, ToolCallDelta, Usage};
use z2api_wire::fault::Fault;

use crate::calls::Calls;
use crate::markup::Piece;
use crate::message::{Kind, MAX_MESSAGE};
use crate::mode::ThinkMode;
use crate::sink::{Sink, Unsayable};
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
    /// A number that no other answer has: part of the ids that the upstream leaves out.
    pub salt: u64,
}

impl Options {
    /// Options without stop words.
    pub fn new(dialect: Dialect, mode: ThinkMode) -> Self {
        Self { dialect, mode, stop: Vec::new(), salt: 0 }
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
    /// The client's API has no words for the answer.
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
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
    calls: Calls,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    unknown: u64,
}

impl Transform {
    /// A transform for one answer.
    pub fn new(options: Options) -> Self {
        Self {
            dialect: options.dialect,
            view: View::new(options.mode == ThinkMode::Raw),
            voice: Voice::new(options.mode, options.dialect, options.stop),
            sources: Sources::default(),
            calls: Calls::new(options.salt),
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
            Event::ToolCall(call) => self.tool_call(call, sink)?,
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
    ///
    /// # Errors
    /// [`TransformError::Unsayable`], if that is the sink's word; call [`Transform::abort`] then.
    pub fn end(&mut self, sink: &mut impl Sink) -> Result<(), TransformError> {
        let reason = self.finish_reason();
        self.settle(sink);
        self.voice.settle(sink);
        if let Some(why) = sink.unsayable(reason) {
            return Err(why.into());
        }
        self.voice.finish(reason, self.usage.as_ref(), &mut self.sources, sink);
        Ok(())
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
        match self.finish.unwrap_or(FinishReason::Stop) {
            // The web chat names no reason, and some servers name the wrong one.
            FinishReason::Stop if !self.calls.is_empty() => FinishReason::ToolCalls,
            reason => reason,
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

    fn tool_call(
        &mut self,
        piece: &ToolCallDelta<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), TooLarge> {
        if let Some(fresh) = self.calls.hear(piece)? {
            self.voice.tool_call(&fresh, sink);
        }
        Ok(())
    }

    fn settle(&mut self, sink: &mut impl Sink) {
        let Self { view, voice, sources, .. } = self;
        view.settle(&mut |piece| speak(piece, voice, sources, sink));
        for call in self.calls.nameless() {
            self.voice.tool_call(&call, sink);
        }
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
