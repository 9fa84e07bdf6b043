//! Reads the markup in the upstream's message: what is thinking, what is answer, what is neither.
//!
//! Text comes in pieces that may be cut anywhere. What cannot be told yet waits in `pending`; the
//! rest is handed on at once. Cutting the same text elsewhere gives the same reading.

use memchr::{memchr, memchr2};
use z2api_wire::event::Phase;

use crate::message::Kind;
use crate::tag::{Head, Match, head, match_any};

const CLOSE: &str = "</details>";
const TOOL_OPEN: &str = "<glm_block";
const TOOL_CLOSE: &str = "</glm_block>";
/// Marks that some models leave in their thinking.
const STRAYS: [&str; 3] = ["</thinking>", "<Full>", "</Full>"];

/// What a reading consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A block of thinking begins, with this markup.
    Open(&'a str),
    /// Thinking.
    Thinking(&'a str),
    /// A block of thinking, or a run of it without markup, ends.
    BlockEnd,
    /// Answer.
    Answer(&'a str),
    /// A whole block of a tool that the upstream ran. Not shown.
    ToolBlock(&'a str),
}

/// The reader. With `raw` the quote marks and stray marks of the thinking stay.
#[derive(Debug)]
pub(crate) struct Markup {
    raw: bool,
    state: State,
    kind: Option<Kind>,
    pending: String,
    /// How much of `pending` has been searched for the end of a tool block.
    searched: usize,
    /// All of the block came in the thinking phase: an answer delta ends the thinking by itself.
    /// After an edit of another phase only the closing tag does.
    by_phase: bool,
    /// A block may open here with any `<details`, not only one that says it is reasoning.
    any_details: bool,
    /// Thinking without markup has been read and not ended.
    plain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A block of thinking may open here.
    Start,
    /// Not in a block.
    Outside,
    /// In a block, at the start of a line.
    Line,
    /// In a block, within a line.
    Text { quoted: bool },
    /// The answer has begun by a delta; a closing tag may still come first.
    Closing,
    /// Just after a block: one line end belongs to it.
    AfterBlock,
    /// In a tool block.
    Tool,
    /// Just after a tool block: white space belongs to it.
    AfterTool,
}

impl Markup {
    pub(crate) fn new(raw: bool) -> Self {
        Self {
            raw,
            state: State::Start,
            kind: None,
            pending: String::new(),
            searched: 0,
            by_phase: true,
            any_details: false,
            plain: false,
        }
    }

    /// Reads the next piece of the message.
    pub(crate) fn push(&mut self, kind: Kind, text: &str, out: &mut impl FnMut(Piece<'_>)) {
        if self.kind != Some(kind) {
            self.turn(kind, out);
        }
        if self.pending.is_empty() {
            if self.state == State::Outside && is_answer(kind) && !kind.by_edit {
                return say(text, Piece::Answer, out);
            }
            let read = self.read(kind, text, out);
            self.pending.push_str(&text[read..]);
            return;
        }
        let mut held = std::mem::take(&mut self.pending);
        held.push_str(text);
        match self.read(kind, &held, out) {
            0 => self.pending = held,
            read => self.pending.push_str(&held[read..]),
        }
    }

    /// No more text comes: what is pending is what it looks like.
    pub(crate) fn settle(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        let pending = std::mem::take(&mut self.pending);
        let thinking = self.kind.is_some_and(|kind| kind.phase == Phase::Thinking);
        match self.state {
            State::Start | State::Outside => self.flush_outside(&pending, thinking, out),
            State::Line | State::Text { .. } => {
                self.flush_block(&pending, out);
                out(Piece::BlockEnd);
            }
            State::Closing => {
                out(Piece::BlockEnd);
                say(&pending, Piece::Answer, out);
            }
            State::AfterBlock | State::Tool | State::AfterTool => {}
        }
        self.state = State::Start;
    }

    /// The text that follows came in another way than what is pending.
    fn turn(&mut self, kind: Kind, out: &mut impl FnMut(Piece<'_>)) {
        let was_thinking = self.kind.is_some_and(|kind| kind.phase == Phase::Thinking);
        let was_edit = self.kind.is_some_and(is_edited_answer);
        let thinking = kind.phase == Phase::Thinking;
        self.kind = Some(kind);
        match self.state {
            // An edit may cut into the opening tag and go on in it.
            State::Start if !self.pending.is_empty() && kind.by_edit => return,
            // Line ends and the begin of a tool's tag may stand in one edit, the rest in the next.
            State::Outside if was_edit && is_edited_answer(kind) => return,
            State::Start | State::Outside => {
                let first = self.state == State::Start && self.pending.is_empty();
                let pending = std::mem::take(&mut self.pending);
                self.flush_outside(&pending, was_thinking, out);
                self.state = if thinking || first { State::Start } else { State::Outside };
            }
            State::Line | State::Text { .. } => {
                if self.by_phase && !kind.by_edit && !thinking {
                    let pending = std::mem::take(&mut self.pending);
                    let closed = self.flush_block(&pending, out);
                    self.state = if is_answer(kind) && !closed {
                        State::Closing
                    } else {
                        out(Piece::BlockEnd);
                        let line_end = pending.ends_with('\n');
                        if closed && !line_end { State::AfterBlock } else { State::Start }
                    };
                }
                self.by_phase &= !kind.by_edit || thinking;
            }
            State::Closing => {
                let pending = std::mem::take(&mut self.pending);
                out(Piece::BlockEnd);
                say(&pending, Piece::Answer, out);
                self.state = if thinking { State::Start } else { State::Outside };
            }
            State::AfterBlock => {}
            State::Tool => {
                if !kind.by_edit && kind.phase != Phase::ToolCall {
                    self.pending.clear();
                    self.state = State::Start;
                }
            }
            State::AfterTool if kind.by_edit => {}
            State::AfterTool => self.state = State::Start,
        }
        if self.pending.is_empty() {
            self.any_details = thinking;
        }
    }

    fn flush_outside(&mut self, text: &str, thinking: bool, out: &mut impl FnMut(Piece<'_>)) {
        if thinking {
            self.plain |= !text.is_empty();
            say(text, Piece::Thinking, out);
        } else {
            say(text, Piece::Answer, out);
        }
        if std::mem::take(&mut self.plain) {
            out(Piece::BlockEnd);
        }
    }

    /// Says what is pending in a block. True if it ended with the closing tag.
    fn flush_block(&mut self, pending: &str, out: &mut impl FnMut(Piece<'_>)) -> bool {
        if pending.trim_end_matches('\n') == CLOSE {
            return true;
        }
        // A lone quote mark is an empty line.
        if self.raw || pending != ">" || self.state != State::Line {
            say(pending, Piece::Thinking, out);
        }
        false
    }

    /// Reads what can be told; answers how many bytes that were.
    fn read(&mut self, kind: Kind, text: &str, out: &mut impl FnMut(Piece<'_>)) -> usize {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let step = match self.state {
                State::Start => self.start(kind, rest, out),
                State::Outside => self.outside(kind, rest, out),
                State::Line => self.line(rest, out),
                State::Text { quoted } => self.text(rest, quoted, out),
                State::Closing => self.closing(rest, out),
                State::AfterBlock => Some(self.after_block(kind, rest)),
                State::Tool => self.tool(rest, out),
                State::AfterTool => Some(self.after_tool(rest)),
            };
            match step {
                Some(read) => at += read,
                None => break,
            }
        }
        at
    }

    fn start(&mut self, kind: Kind, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        if !self.any_details && !kind.by_edit {
            self.state = State::Outside;
            return Some(0);
        }
        match head(rest, self.any_details) {
            Head::Whole(length) => {
                out(Piece::Open(&rest[..length]));
                self.state = State::Line;
                self.by_phase = !kind.by_edit || kind.phase == Phase::Thinking;
                Some(length)
            }
            Head::Begun => None,
            Head::Not => {
                self.state = State::Outside;
                Some(0)
            }
        }
    }

    fn outside(
        &mut self,
        kind: Kind,
        rest: &str,
        out: &mut impl FnMut(Piece<'_>),
    ) -> Option<usize> {
        match kind.phase {
            Phase::Thinking => self.plain_thinking(rest, out),
            Phase::Answer | Phase::Other | Phase::ToolCall if kind.by_edit => {
                self.edited(rest, out)
            }
            Phase::Answer | Phase::Other => {
                out(Piece::Answer(rest));
                Some(rest.len())
            }
            Phase::ToolCall | Phase::ToolResponse => Some(rest.len()),
        }
    }

    fn plain_thinking(&mut self, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        self.plain = true;
        let (text, mark) = split_at_mark(rest);
        say(text, Piece::Thinking, out);
        if mark.is_empty() {
            return Some(text.len());
        }
        match match_any(mark, &STRAYS) {
            Match::Begun if text.is_empty() => None,
            Match::Begun => Some(text.len()),
            Match::Whole(length) => {
                if self.raw {
                    out(Piece::Thinking(&mark[..length]));
                }
                Some(text.len() + length)
            }
            Match::Not => {
                out(Piece::Thinking("<"));
                Some(text.len() + 1)
            }
        }
    }

    /// Text of an edit, outside of blocks: answer, except for tool blocks and the line ends
    /// before them.
    fn edited(&mut self, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        let found = rest.match_indices('<').find_map(|(at, _)| {
            match match_any(&rest[at..], &[TOOL_OPEN]) {
                Match::Not => None,
                Match::Begun => Some((at, false)),
                Match::Whole(_) => Some((at, true)),
            }
        });
        let (end, tool) = found.unwrap_or((rest.len(), false));
        let text = rest[..end].trim_end_matches('\n');
        say(text, Piece::Answer, out);
        if tool {
            self.state = State::Tool;
            self.searched = 0;
            return Some(end);
        }
        (!text.is_empty()).then_some(text.len())
    }

    fn line(&mut self, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        let Some(quoted) = rest.strip_prefix('>') else {
            self.state = State::Text { quoted: false };
            return Some(0);
        };
        // Whether a space belongs to the mark is only known when it is there.
        let length =
            if quoted.is_empty() { return None } else { 1 + usize::from(quoted.starts_with(' ')) };
        if self.raw {
            out(Piece::Thinking(&rest[..length]));
        }
        self.state = State::Text { quoted: true };
        Some(length)
    }

    fn text(&mut self, rest: &str, quoted: bool, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        let Some(end) = line_end_or_mark(rest.as_bytes()) else {
            say(rest, Piece::Thinking, out);
            return Some(rest.len());
        };
        let mark = &rest[end..];
        if mark.starts_with('\n') {
            out(Piece::Thinking(&rest[..=end]));
            self.state = State::Line;
            return Some(end + 1);
        }
        say(&rest[..end], Piece::Thinking, out);
        match match_any(mark, &[CLOSE, STRAYS[0], STRAYS[1], STRAYS[2]]) {
            Match::Begun => (end > 0).then_some(end),
            Match::Whole(length) if mark.starts_with(CLOSE) => {
                match if quoted { closes_quoted(&mark[length..]) } else { Some(true) } {
                    None => (end > 0).then_some(end),
                    Some(true) => {
                        out(Piece::BlockEnd);
                        self.state = State::AfterBlock;
                        Some(end + length)
                    }
                    Some(false) => {
                        out(Piece::Thinking(CLOSE));
                        Some(end + length)
                    }
                }
            }
            Match::Whole(length) => {
                if self.raw {
                    out(Piece::Thinking(&mark[..length]));
                }
                Some(end + length)
            }
            Match::Not => {
                out(Piece::Thinking("<"));
                Some(end + 1)
            }
        }
    }

    fn closing(&mut self, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        let tag = rest.strip_prefix('\n').unwrap_or(rest);
        match match_any(tag, &[CLOSE]) {
            Match::Begun => None,
            Match::Whole(length) => {
                out(Piece::BlockEnd);
                self.state = State::AfterBlock;
                Some(rest.len() - tag.len() + length)
            }
            Match::Not => {
                out(Piece::BlockEnd);
                self.state = State::Outside;
                Some(0)
            }
        }
    }

    fn after_block(&mut self, kind: Kind, rest: &str) -> usize {
        self.state = State::Start;
        self.any_details = kind.phase == Phase::Thinking;
        usize::from(rest.starts_with('\n'))
    }

    fn tool(&mut self, rest: &str, out: &mut impl FnMut(Piece<'_>)) -> Option<usize> {
        let from = rest.floor_char_boundary(self.searched.min(rest.len()));
        let Some(found) = rest[from..].find(TOOL_CLOSE) else {
            self.searched = rest.len().saturating_sub(TOOL_CLOSE.len());
            return None;
        };
        let end = from + found + TOOL_CLOSE.len();
        out(Piece::ToolBlock(&rest[..end]));
        self.state = State::AfterTool;
        Some(end)
    }

    fn after_tool(&mut self, rest: &str) -> usize {
        let text = rest.trim_start();
        if !text.is_empty() {
            self.state = State::Start;
            self.any_details = false;
        }
        rest.len() - text.len()
    }
}

/// Whether text of this kind is answer with tool blocks in it.
fn is_edited_answer(kind: Kind) -> bool {
    kind.by_edit && matches!(kind.phase, Phase::Answer | Phase::Other | Phase::ToolCall)
}

fn is_answer(kind: Kind) -> bool {
    matches!(kind.phase, Phase::Answer | Phase::Other)
}

fn say<'a>(text: &'a str, piece: impl Fn(&'a str) -> Piece<'a>, out: &mut impl FnMut(Piece<'_>)) {
    if !text.is_empty() {
        out(piece(text));
    }
}

/// Where the first line end or `<` is.
fn line_end_or_mark(text: &[u8]) -> Option<usize> {
    // An event's text is a word or two, in which a search by vectors does not pay.
    match text.len() {
        0..=16 => text.iter().position(|byte| matches!(byte, b'\n' | b'<')),
        _ => memchr2(b'\n', b'<', text),
    }
}

/// The text up to the first `<`, and the rest.
fn split_at_mark(text: &str) -> (&str, &str) {
    text.split_at(memchr(b'<', text.as_bytes()).unwrap_or(text.len()))
}

/// Whether a closing tag on a quoted line closes the block, by what follows it: it does at the
/// end of the last quoted line. None if more must be seen.
fn closes_quoted(after: &str) -> Option<bool> {
    let mut chars = after.chars();
    match chars.next()? {
        '\n' => {}
        _ => return Some(false),
    }
    let next = chars.as_str();
    match match_any(next, &[CLOSE, ">"]) {
        Match::Begun => None,
        Match::Whole(_) => Some(false),
        Match::Not => Some(true),
    }
}
