//! A text that may be too long for a line: its beginning, its end, and what is missing between.

use std::fmt;

use serde::{Serialize, Serializer};

/// Takes a text piece by piece and keeps no more than the first half and the last half of what it
/// may: a question often stands at the end, and an answer ends with what it comes to.
///
/// Written, what is missing is counted: `It was…(5000 bytes left out)…the end.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    half: usize,
    head: String,
    /// What comes after the head: all of it, or at least its last half of what may be kept.
    tail: String,
    bytes: usize,
}

impl Excerpt {
    /// Keeps so many bytes at most. Less than 8 would have no room for a character in each half.
    pub fn new(most: usize) -> Self {
        Self { half: most.max(8) / 2, head: String::new(), tail: String::new(), bytes: 0 }
    }

    /// That of a whole text.
    pub fn of(text: &str, most: usize) -> Self {
        let mut excerpt = Self::new(most);
        excerpt.push(text);
        excerpt
    }

    /// The text goes on.
    pub fn push(&mut self, text: &str) {
        self.bytes += text.len();
        // Most texts are short.
        if self.bytes <= self.half {
            return self.head.push_str(text);
        }
        let room = if self.tail.is_empty() { self.half - self.head.len() } else { 0 };
        let (head, rest) = text.split_at(text.floor_char_boundary(room));
        self.head.push_str(head);
        if rest.len() >= self.half {
            self.tail.clear();
        }
        self.tail.push_str(end(rest, self.half));
        // Not at each piece: cutting moves all that stays.
        if self.tail.len() > 2 * self.half {
            let extra = self.tail.len() - end(&self.tail, self.half).len();
            self.tail.drain(..extra);
        }
    }

    /// Whether there was no text.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

/// The last bytes of a text: so many at most, and whole characters.
fn end(text: &str, most: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = end(&self.tail, self.half);
        f.write_str(&self.head)?;
        match self.bytes - self.head.len() - tail.len() {
            0 => {}
            missing => write!(f, "…({missing} bytes left out)…")?,
        }
        f.write_str(tail)
    }
}

impl Serialize for Excerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.bytes == self.head.len() {
            return serializer.serialize_str(&self.head);
        }
        serializer.serialize_str(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_whole_and_of_what_does_not_the_middle_is_missing() {
        assert_eq!(Excerpt::of("12345678", 8).to_string(), "12345678");
        assert_eq!(Excerpt::of("123456789", 8).to_string(), "1234…(1 bytes left out)…6789");
        assert_eq!(Excerpt::of("天天天天", 8).to_string(), "天…(6 bytes left out)…天");
        assert!(Excerpt::new(8).is_empty() && !Excerpt::of("x", 8).is_empty());
    }

    proptest! {
        /// However it comes in pieces, and however long it is, the same is kept of it, and not more
        /// than may be.
        #[test]
        fn pieces_make_the_same_as_the_whole(
            pieces in proptest::collection::vec("[a天é𝄞]{0,20}", 0..30),
            most in 8_usize..200,
        ) {
            let whole = pieces.concat();
            let mut excerpt = Excerpt::new(most);
            for piece in &pieces {
                excerpt.push(piece);
                prop_assert!(excerpt.head.len() + excerpt.tail.len() <= 2 * most);
            }
            let written = excerpt.to_string();
            prop_assert_eq!(&written, &Excerpt::of(&whole, most).to_string());
            match written.split_once("…(") {
                None => prop_assert_eq!(&written, &whole),
                Some((head, rest)) => {
                    let (missing, tail) = rest.split_once(" bytes left out)…").unwrap();
                    prop_assert!(whole.starts_with(head) && whole.ends_with(tail));
                    let kept = head.len() + tail.len();
                    prop_assert!(kept <= most && kept + 8 > most, "{kept} of {most}");
                    prop_assert_eq!(missing.parse::<usize>().unwrap(), whole.len() - kept);
                }
            }
        }
    }
}
