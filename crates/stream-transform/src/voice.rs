//! Says thinking and answer in the words of one thinking mode.

use z2api_wire::event::{Dialect, FinishReason, ToolCallDelta, Usage};

use crate::citation::{Citations, Sources};
use crate::mode::ThinkMode;
use crate::sink::Sink;
use crate::stop::StopWords;
use crate::trim::BlankLines;

/// Hears thinking and answer apart, in order, and says them to a [`Sink`]. Tags are balanced
/// whatever happens.
#[derive(Debug)]
pub(crate) struct Voice {
    mode: ThinkMode,
    dialect: Dialect,
    /// A tag (or, in raw mode, a block of the upstream's) is open.
    thinking: bool,
    /// A block of thinking has ended inside the open tag: a blank line before the next.
    between_blocks: bool,
    lines: BlankLines,
    /// In raw mode: a line end that belongs to the end tag if the block ends here.
    held_line_end: bool,
    citations: Citations,
    stop: StopWords,
    stopped: bool,
}

impl Voice {
    pub(crate) fn new(mode: ThinkMode, dialect: Dialect, stop: Vec<String>) -> Self {
        Self {
            mode,
            dialect,
            thinking: false,
            between_blocks: false,
            lines: BlankLines::default(),
            held_line_end: false,
            citations: Citations::default(),
            stop: StopWords::new(stop),
            stopped: false,
        }
    }

    /// A stop word was met: the answer is whole, whatever else the upstream says.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The upstream opens a block of thinking with this markup.
    pub(crate) fn open(&mut self, markup: &str, sink: &mut impl Sink) {
        if self.mode == ThinkMode::Raw {
            self.close(sink);
            sink.content(markup);
            self.thinking = true;
        }
    }

    /// A piece of thinking.
    pub(crate) fn thinking(&mut self, text: &str, sink: &mut impl Sink) {
        if self.stopped || text.is_empty() {
            return;
        }
        let Self { mode, thinking, between_blocks, lines, .. } = self;
        match mode {
            ThinkMode::Strip => {}
            ThinkMode::Raw if self.dialect == Dialect::OpenAi => sink.reasoning(text),
            ThinkMode::Raw => self.raw_thinking(text, sink),
            ThinkMode::Think => lines.push(text, &mut |text| {
                if !*thinking {
                    sink.content("<think>\n");
                } else if *between_blocks {
                    sink.content("\n\n");
                }
                (*thinking, *between_blocks) = (true, false);
                sink.content(text);
            }),
            ThinkMode::Reasoning => lines.push(text, &mut |text| {
                if *thinking && *between_blocks {
                    sink.reasoning("\n\n");
                }
                (*thinking, *between_blocks) = (true, false);
                sink.reasoning(text);
            }),
        }
    }

    fn raw_thinking(&mut self, text: &str, sink: &mut impl Sink) {
        if std::mem::take(&mut self.held_line_end) {
            sink.content("\n");
        }
        match text.strip_suffix('\n') {
            Some(text) if self.thinking => {
                self.held_line_end = true;
                sink.content(text);
            }
            _ => sink.content(text),
        }
    }

    /// The upstream closes its block of thinking. More may follow, so that no tag is closed yet.
    pub(crate) fn block_end(&mut self, sink: &mut impl Sink) {
        match self.mode {
            ThinkMode::Raw => self.close(sink),
            ThinkMode::Think | ThinkMode::Strip | ThinkMode::Reasoning => {
                self.lines.end();
                self.between_blocks = true;
            }
        }
    }

    /// A piece of the answer.
    pub(crate) fn answer(&mut self, text: &str, sources: &mut Sources, sink: &mut impl Sink) {
        if self.stopped || text.is_empty() {
            return;
        }
        self.close(sink);
        let Self { stop, stopped, .. } = self;
        let mut say = |text: &str| {
            if !*stopped {
                *stopped = stop.push(text, &mut |text| sink.content(text));
            }
        };
        if self.mode == ThinkMode::Raw || self.dialect == Dialect::OpenAi {
            say(text);
        } else {
            self.citations.push(text, sources, &mut say);
        }
    }

    /// A piece of a call of the client's tools.
    pub(crate) fn tool_call(&mut self, call: &ToolCallDelta<'_>, sink: &mut impl Sink) {
        if !self.stopped {
            self.settle(sink);
            sink.tool_call(call);
        }
    }

    /// The answer is whole.
    pub(crate) fn finish(
        &mut self,
        reason: FinishReason,
        usage: Option<&Usage>,
        sink: &mut impl Sink,
    ) {
        self.settle(sink);
        sink.finish(reason, usage);
    }

    /// Says what is held back and closes what is open: nothing certain is missing after this.
    pub(crate) fn settle(&mut self, sink: &mut impl Sink) {
        self.close(sink);
        let Self { stop, stopped, citations, .. } = self;
        citations.flush(&mut |text| {
            if !*stopped {
                *stopped = stop.push(text, &mut |text| sink.content(text));
            }
        });
        if !*stopped {
            stop.flush(&mut |text| sink.content(text));
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        self.held_line_end = false;
        self.lines.end();
        self.between_blocks = false;
        if std::mem::take(&mut self.thinking) {
            match self.mode {
                ThinkMode::Think => sink.content("\n</think>\n\n"),
                ThinkMode::Raw => sink.content("\n</details>\n"),
                ThinkMode::Strip | ThinkMode::Reasoning => {}
            }
        }
    }
}
