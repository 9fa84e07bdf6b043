//! The events of one stream: those of the shape that repeats by comparison, all others by the
//! parser of the dialect.
//!
//! Nearly all events of a stream differ in one string only, the text. What stands around the text
//! of an event that the parser has read means the same around any other string; so it is kept,
//! and compared. This knows no shape by itself: any order of keys and any further field will do,
//! as long as they repeat.

use std::borrow::Cow;

use crate::event::{Dialect, Event, Phase};
use crate::named::Named;
use crate::string::{plain_len, unescape};
use crate::{Malformed, openai, zai};

/// Reads the events of one stream. Gives what [`zai::decode`] and [`openai::decode`] give, sooner.
#[derive(Debug)]
pub struct EventDecoder {
    dialect: Dialect,
    shape: Option<Shape>,
    /// Where a text with escapes is put.
    unescaped: String,
    /// What the first event says of the answer.
    named: Option<Box<Named>>,
}

/// An event around its text.
#[derive(Debug)]
struct Shape {
    phase: Phase,
    /// Up to the quote before the text.
    before: String,
    /// From the quote behind it.
    after: String,
}

impl EventDecoder {
    /// A decoder for one stream.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, shape: None, unescaped: String::new(), named: None }
    }

    /// Reads the data of one SSE event and hands what it says to `emit`.
    ///
    /// # Errors
    /// [`Malformed::NotUtf8`], and [`Malformed::NotJson`] if it is neither an end mark nor JSON of
    /// the dialect's shape.
    pub fn decode(
        &mut self,
        data: &[u8],
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<(), Malformed> {
        let Self { shape, unescaped, .. } = self;
        if let Some(shape) = shape
            && let Some(text) = shape.text_of(data, unescaped)
        {
            emit(Event::Text { phase: shape.phase, text: Cow::Borrowed(text) });
            return Ok(());
        }
        self.parse(str_of(data)?, emit)
    }

    /// What the upstream calls the answer, and the model that gives it, as its first event says.
    pub fn named(&self) -> Option<&Named> {
        self.named.as_deref()
    }

    fn parse(&mut self, data: &str, emit: &mut impl FnMut(Event<'_>)) -> Result<(), Malformed> {
        let mut place = Place::default();
        let mut watch = |event: Event<'_>| {
            place.note(data, &event);
            emit(event);
        };
        match self.dialect {
            Dialect::ZaiWeb => zai::decode(data, &mut watch)?,
            Dialect::OpenAi => {
                openai::decode(data, &mut watch)?;
                self.named.get_or_insert_with(|| Box::new(Named::in_chunk(data)));
            }
        }
        if let Some((phase, at, length)) = place.only_text {
            let (before, text) = data.split_at(at);
            Shape::keep(&mut self.shape, phase, before, &text[length..]);
        }
        Ok(())
    }
}

impl Shape {
    fn keep(kept: &mut Option<Self>, phase: Phase, before: &str, after: &str) {
        let empty = || Self { phase, before: String::new(), after: String::new() };
        let shape = kept.get_or_insert_with(empty);
        shape.phase = phase;
        before.clone_into(&mut shape.before);
        after.clone_into(&mut shape.after);
    }

    /// The text of an event of this shape. None if it has another, or an empty text, which the
    /// parsers treat otherwise, or one that only a parser can read.
    fn text_of<'a>(&self, data: &'a [u8], unescaped: &'a mut String) -> Option<&'a str> {
        let text = data.strip_prefix(self.before.as_bytes())?;
        let inside = str_of(text.strip_suffix(self.after.as_bytes())?).ok()?;
        if inside.is_empty() {
            return None;
        }
        if plain_len(inside.as_bytes()) == inside.len() {
            return Some(inside);
        }
        unescape(inside, unescaped).then_some(unescaped.as_str())
    }
}

fn str_of(data: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(data).map_err(|error| Malformed::NotUtf8(error.valid_up_to()))
}

/// Where in an event its text stands, if it has said nothing else.
#[derive(Default)]
struct Place {
    any: bool,
    /// Phase, start and length in bytes.
    only_text: Option<(Phase, usize, usize)>,
}

impl Place {
    fn note(&mut self, data: &str, event: &Event<'_>) {
        let first = !std::mem::replace(&mut self.any, true);
        self.only_text = match event {
            Event::Text { phase, text: Cow::Borrowed(text) } if first => {
                let at = text.as_ptr().addr().wrapping_sub(data.as_ptr().addr());
                let quoted = data.get(..at).is_some_and(|before| before.ends_with('"'));
                quoted.then_some((*phase, at, text.len()))
            }
            _other => None,
        };
    }
}
