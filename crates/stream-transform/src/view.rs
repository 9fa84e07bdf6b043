//! The message of the `zai-web` dialect: appended to, edited, and said once.

use z2api_wire::event::Phase;

use crate::markup::{Markup, Piece};
use crate::message::{Kind, Message};
use crate::said::Said;

/// Reading again after edits may cost this much in all, in bytes.
const MAX_READ_AGAIN: usize = 256 * 1024 * 1024;

/// A message of the upstream that has grown beyond its bound, or is edited without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Follows the upstream's message and hands on what is new in it, as thinking and answer.
#[derive(Debug)]
pub(crate) struct View {
    raw: bool,
    message: Message,
    markup: Markup,
    said: Said,
    read_again: usize,
    divergences: u64,
}

impl View {
    pub(crate) fn new(raw: bool) -> Self {
        Self {
            raw,
            message: Message::default(),
            markup: Markup::new(raw),
            said: Said::default(),
            read_again: 0,
            divergences: 0,
        }
    }

    /// How many edits changed text that had been said.
    pub(crate) fn divergences(&self) -> u64 {
        self.divergences
    }

    /// Text is appended.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        text: &str,
        say: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        if !self.message.append(kind, text) {
            return Err(TooLarge);
        }
        let Self { markup, said, .. } = self;
        markup.push(kind, text, &mut |piece| said.hear(piece, say));
        Ok(())
    }

    /// The message is cut at `index` and `text` appended.
    pub(crate) fn edit(
        &mut self,
        phase: Phase,
        index: Option<usize>,
        text: &str,
        say: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        let kind = Kind { phase, by_edit: true };
        let Some(at) = self.message.cut_at(index) else {
            return self.append(kind, text, say);
        };
        self.read_again += self.message.len() + text.len();
        if self.read_again > MAX_READ_AGAIN {
            return Err(TooLarge);
        }
        let before = self.reading();
        self.message.truncate(at);
        if !self.message.append(kind, text) {
            return Err(TooLarge);
        }
        let after = self.reading();
        let kept = before.iter().zip(&after).all(|(before, after)| after.starts_with(before));

        let mut markup = Markup::new(self.raw);
        self.said.read_again();
        for (kind, text) in self.message.stretches() {
            markup.push(kind, text, &mut |piece| self.said.hear(piece, say));
        }
        self.markup = markup;
        self.divergences += u64::from(self.said.take_lost() || !kept);
        Ok(())
    }

    /// No more comes.
    pub(crate) fn settle(&mut self, say: &mut impl FnMut(Piece<'_>)) {
        let Self { markup, said, .. } = self;
        markup.settle(&mut |piece| said.hear(piece, say));
    }

    /// All thinking and all answer of the message as it stands.
    fn reading(&self) -> [String; 2] {
        let [mut thinking, mut answer] = [String::new(), String::new()];
        let mut markup = Markup::new(false);
        for (kind, text) in self.message.stretches() {
            markup.push(kind, text, &mut |piece| match piece {
                Piece::Thinking(text) => thinking.push_str(text),
                Piece::Answer(text) => answer.push_str(text),
                Piece::Open(_) | Piece::BlockEnd | Piece::ToolBlock(_) => {}
            });
        }
        [thinking.trim_end().to_owned(), answer]
    }
}
