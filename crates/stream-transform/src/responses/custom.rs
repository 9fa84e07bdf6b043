//! The free text that a custom tool is called with.
//!
//! Upstreams know functions only: the text is what `input` holds in the JSON of its arguments. It is
//! taken out as it streams.

use serde::Serialize;

/// A function's only argument, in place of free text.
#[derive(Debug, Serialize)]
pub(super) struct Arguments<'a> {
    pub(super) input: &'a str,
}

/// Reads `{"input": "…"}` piece by piece.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Input {
    state: State,
    /// An escape, or a key, that is not whole yet.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Brace,
    KeyQuote,
    Key,
    Colon,
    Quote,
    Text,
    EndBrace,
    Over,
    /// It is something else.
    Bad,
}

impl Input {
    /// Takes the next piece of the arguments, and says what it holds of the text.
    pub(super) fn hear(&mut self, mut piece: &str, say: &mut impl FnMut(&str)) {
        while let Some(next) = piece.chars().next() {
            if self.state == State::Text && self.held.is_empty() {
                let plain = piece.find(['"', '\\']).unwrap_or(piece.len());
                if plain > 0 {
                    say(&piece[..plain]);
                    piece = &piece[plain..];
                    continue;
                }
            }
            self.step(next, say);
            piece = &piece[next.len_utf8()..];
        }
    }

    /// Whether the arguments came to their proper end.
    pub(super) fn is_whole(&self) -> bool {
        self.state == State::Over
    }

    fn step(&mut self, next: char, say: &mut impl FnMut(&str)) {
        use State::{Bad, Brace, Colon, EndBrace, Key, KeyQuote, Over, Quote, Text};
        let blank = matches!(next, ' ' | '\t' | '\n' | '\r');
        self.state = match (self.state, next) {
            (Brace | KeyQuote | Colon | Quote | EndBrace | Over, _) if blank => self.state,
            (Brace, '{') => KeyQuote,
            (KeyQuote, '"') => Key,
            (Key, '"') if std::mem::take(&mut self.held) == "input" => Colon,
            (Key, _) if next != '"' && self.held.len() < "input".len() => {
                self.held.push(next);
                Key
            }
            (Colon, ':') => Quote,
            (Quote, '"') => Text,
            (Text, '"') if self.held.is_empty() => EndBrace,
            (Text, _) => self.escape(next, say),
            (EndBrace, '}') => Over,
            (Brace | KeyQuote | Key | Colon | Quote | EndBrace | Over | Bad, _) => Bad,
        };
    }

    /// One more character of an escape; two that stand for one character are one.
    fn escape(&mut self, next: char, say: &mut impl FnMut(&str)) -> State {
        self.held.push(next);
        let held = self.held.as_str();
        let unit =
            |at: usize| held.get(at..at + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        let is_whole = match held.as_bytes().get(1) {
            None => false,
            Some(b'u') if held.len() < 6 => false,
            Some(b'u') => {
                !unit(2).is_some_and(|unit| (0xD800..0xDC00).contains(&unit)) || held.len() >= 12
            }
            Some(_) => true,
        };
        if !is_whole {
            return State::Text;
        }
        let text = serde_json::from_str::<String>(&format!("\"{held}\""));
        self.held.clear();
        match text {
            Ok(text) => {
                say(&text);
                State::Text
            }
            Err(_) => State::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said, and whether the arguments were whole.
    fn heard<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, bool) {
        let (mut input, mut text) = (Input::default(), String::new());
        for piece in pieces {
            input.hear(piece, &mut |said| text.push_str(said));
        }
        (text, input.is_whole())
    }

    #[test]
    fn what_is_no_object_with_an_input_alone_is_not_whole() {
        for bad in [
            "",
            "{}",
            "text",
            r#""text""#,
            r#"{"input":5}"#,
            r#"{"input":"a""#,
            r#"{"input":"a"}}"#,
            r#"{"input":"a","more":1}"#,
            r#"{"other":"a"}"#,
            r#"{"inputs":"a"}"#,
            r#"{"input":"\x"}"#,
            r#"{"input":"\ud83d"}"#,
            r#"{"input":"\ud83d\u0041"}"#,
            r#"{"input":"\u00é0"}"#,
        ] {
            assert!(!heard([bad]).1, "{bad}");
        }
    }

    #[test]
    fn a_text_that_is_cut_is_told_as_far_as_it_goes() {
        assert_eq!(heard([r#"{"input":"a\n\ud83d\ude4"#]), ("a\n".to_owned(), false));
    }

    #[test]
    fn line_ends_that_are_not_escaped_stand_for_themselves() {
        assert_eq!(heard(["{ \"input\" : \"a\nb\" } "]), ("a\nb".to_owned(), true));
    }

    proptest! {
        #[test]
        fn the_text_comes_out_however_it_is_cut(text in ".*|[\"\\\\\n🙂é]{0,20}", cuts in 1usize..7) {
            let plain = serde_json::to_string(&Arguments { input: &text }).unwrap();
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            let escaped = format!(r#"{{"input":"{}"}}"#, units.collect::<String>());
            for arguments in [plain, escaped] {
                let chars: Vec<char> = arguments.chars().collect();
                let pieces: Vec<String> = chars.chunks(cuts).map(|piece| piece.iter().collect()).collect();
                let heard = heard(pieces.iter().map(String::as_str));
                prop_assert_eq!(heard, (text.clone(), true));
            }
        }
    }
}
