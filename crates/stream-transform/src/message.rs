//! The upstream's message as its edits see it: text that can be cut at an index.

use z2api_wire::event::Phase;

/// A message may not grow beyond this many bytes.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// What a stretch of the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) phase: Phase,
    /// It came by an edit, so it may hold markup of several phases.
    pub(crate) by_edit: bool,
}

/// The text so far with its markup, and which stretch came how.
#[derive(Debug, Default)]
pub(crate) struct Message {
    text: String,
    /// How much of the text has been counted, in bytes, and in UTF-16 code units, the unit of the
    /// upstream's indices. The rest is counted once an edit asks.
    counted: (usize, usize),
    /// Where each stretch begins, in bytes.
    spans: Vec<(usize, Kind)>,
}

impl Message {
    /// Appends text. False if the message would grow beyond its bound.
    #[must_use]
    pub(crate) fn append(&mut self, kind: Kind, text: &str) -> bool {
        if self.text.len() + text.len() > MAX_MESSAGE {
            return false;
        }
        if self.spans.last().is_none_or(|(_, last)| *last != kind) {
            self.spans.push((self.text.len(), kind));
        }
        self.text.push_str(text);
        true
    }

    /// The byte at which an edit cuts, or None if it cuts nothing off: an index at the end, or
    /// beyond what has arrived. An index inside a character cuts before it.
    pub(crate) fn cut_at(&mut self, index: Option<usize>) -> Option<usize> {
        let index = index.unwrap_or(0);
        let (bytes, units) = self.counted;
        let units = units + units_of(&self.text[bytes..]);
        self.counted = (self.text.len(), units);
        if index >= units {
            return None;
        }
        let mut units = 0;
        let ends = self.text.char_indices().map(|(at, c)| {
            units += c.len_utf16();
            (at, units)
        });
        ends.into_iter().find(|(_, end)| *end > index).map(|(at, _)| at)
    }

    /// Cuts the message at a byte just given by [`Message::cut_at`].
    pub(crate) fn truncate(&mut self, at: usize) {
        let (_, units) = self.counted;
        self.counted = (at, units - units_of(&self.text[at..]));
        self.text.truncate(at);
        self.spans.retain(|(start, _)| *start < at);
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The stretches in order.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (Kind, &str)> {
        let ends = self.spans.iter().skip(1).map(|(start, _)| *start).chain([self.text.len()]);
        self.spans.iter().zip(ends).map(|((start, kind), end)| (*kind, &self.text[*start..end]))
    }
}

fn units_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Kind = Kind { phase: Phase::Answer, by_edit: false };

    fn edited(text: &str, index: Option<usize>) -> String {
        let mut message = Message::default();
        assert!(message.append(ANSWER, text));
        if let Some(at) = message.cut_at(index) {
            message.truncate(at);
        }
        assert_eq!(message.counted.1, message.text.encode_utf16().count());
        message.text
    }

    #[test]
    fn an_index_counts_utf16_units() {
        assert_eq!(edited("天气🌈好", Some(2)), "天气");
        assert_eq!(edited("天气🌈好", Some(4)), "天气🌈");
        assert_eq!(edited("天气🌈好", Some(3)), "天气", "never inside a character");
    }

    #[test]
    fn an_index_beyond_the_end_cuts_nothing() {
        assert_eq!(edited("ab", Some(2)), "ab");
        assert_eq!(edited("ab", Some(99)), "ab");
    }

    #[test]
    fn no_index_replaces_everything() {
        assert_eq!(edited("ab", None), "");
    }
}
