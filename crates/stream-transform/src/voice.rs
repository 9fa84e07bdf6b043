//! Says thinking and answer in the words of one thinking mode.

use std::collections::HashSet;

use z2api_wire::event::{Dialect, FinishReason, ToolCallDelta, Usage};

use crate::citation::Citations;
use crate::mode::ThinkMode;
use crate::sink::{Annotation, Sink};
use crate::sources::Sources;
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
    annotations: Vec<Annotation>,
    content: Content,
    stop: StopWords,
    stopped: bool,
}

/// Says content, and counts its characters: annotations refer to them.
#[derive(Debug, Default)]
struct Content {
    chars: usize,
}

impl Content {
    fn say(&mut self, text: &str, sink: &mut impl Sink) {
        self.chars += if text.is_ascii() { text.len() } else { text.chars().count() };
        sink.content(text);
    }
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
            citations: Citations::new(mode == ThinkMode::Raw),
            annotations: Vec::new(),
            content: Content::default(),
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
        if self.mode == ThinkMode::Raw && !self.stopped {
            self.close(sink);
            self.content.say(markup, sink);
            self.thinking = true;
        }
    }

    /// A piece of thinking.
    pub(crate) fn thinking(&mut self, text: &str, sink: &mut impl Sink) {
        if self.stopped || text.is_empty() {
            return;
        }
        let Self { mode, thinking, between_blocks, lines, content, .. } = self;
        match mode {
            ThinkMode::Strip => {}
            // The official API wants it back byte for byte when the conversation goes on.
            ThinkMode::Raw | ThinkMode::Reasoning if self.dialect == Dialect::OpenAi => {
                sink.reasoning(text);
            }
            ThinkMode::Raw => self.raw_thinking(text, sink),
            ThinkMode::Think => lines.push(text, &mut |text| {
                if !*thinking {
                    content.say("<think>\n", sink);
                } else if *between_blocks {
                    content.say("\n\n", sink);
                }
                (*thinking, *between_blocks) = (true, false);
                content.say(text, sink);
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
            self.content.say("\n", sink);
        }
        match text.strip_suffix('\n') {
            Some(text) if self.thinking => {
                self.held_line_end = true;
                self.content.say(text, sink);
            }
            _ => self.content.say(text, sink),
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
        let Self { stop, stopped, content, annotations, .. } = self;
        self.citations.push(text, sources, &mut |text, source| {
            if *stopped {
                return;
            }
            if let Some(source) = source {
                let start = content.chars + stop.held().chars().count();
                let range = start..start + text.chars().count();
                let (url, title) = (source.url.clone(), source.title.clone());
                annotations.push(Annotation { url, title, range });
            }
            *stopped = stop.push(text, &mut |text| content.say(text, sink));
        });
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
        sources: &mut Sources,
        sink: &mut impl Sink,
    ) {
        self.settle(sink);
        let annotations = self.annotations(sources);
        if !annotations.is_empty() {
            sink.annotations(annotations);
        }
        if let Some(word) = self.stop.met() {
            sink.stop_word(word);
        }
        sink.finish(reason, usage);
    }

    /// The citations that were said, and after them the sources that no citation names.
    fn annotations(&mut self, sources: &mut Sources) -> Vec<Annotation> {
        let end = self.content.chars;
        let mut annotations = std::mem::take(&mut self.annotations);
        // A stop word may have cut a link off.
        annotations.retain(|annotation| annotation.range.end <= end);
        let mut urls: HashSet<String> = annotations.iter().map(|a| a.url.clone()).collect();
        for source in sources.all() {
            if urls.insert(source.url.clone()) {
                let (url, title) = (source.url.clone(), source.title.clone());
                annotations.push(Annotation { url, title, range: end..end });
            }
        }
        annotations
    }

    /// Says what is held back and closes what is open: nothing certain is missing after this.
    pub(crate) fn settle(&mut self, sink: &mut impl Sink) {
        self.close(sink);
        let Self { stop, stopped, citations, content, .. } = self;
        citations.flush(&mut |text| {
            if !*stopped {
                *stopped = stop.push(text, &mut |text| content.say(text, sink));
            }
        });
        if !*stopped {
            stop.flush(&mut |text| content.say(text, sink));
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        self.held_line_end = false;
        self.lines.end();
        if self.mode == ThinkMode::Reasoning {
            // There is no tag to close: what follows in the same field is one more block.
            self.between_blocks = true;
            return;
        }
        self.between_blocks = false;
        if std::mem::take(&mut self.thinking) {
            match self.mode {
                ThinkMode::Think => self.content.say("\n</think>\n\n", sink),
                ThinkMode::Raw => self.content.say("\n</details>\n", sink),
                ThinkMode::Strip | ThinkMode::Reasoning => {}
            }
        }
    }
}
