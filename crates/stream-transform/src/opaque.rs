//! Thinking that a client gives back without reading it: `encrypted_content` in the Responses API, the
//! `signature` of thinking that is not shown in the Messages API.
//!
//! It is not encrypted: it hides nothing from the client. It is base64 with a mark before it,
//! so that it is known again, and nobody takes it for words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What this form begins with.
const MARK: &str = "z2api-reasoning-1:";

/// The thinking in this form.
pub(crate) fn write(thinking: &str) -> String {
    let mut text = MARK.to_owned();
    STANDARD.encode_string(thinking, &mut text);
    text
}

/// What is in something that a client gives back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opaque {
    /// Thinking of ours.
    Thinking(String),
    /// It begins like ours, and is damaged.
    Damaged,
    /// Of somebody else, who alone can read it.
    Foreign,
}

pub(crate) fn read(text: &str) -> Opaque {
    let Some(encoded) = text.strip_prefix(MARK) else { return Opaque::Foreign };
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or(Opaque::Damaged, Opaque::Thinking)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn thinking_comes_back_as_it_was(thinking in ".*") {
            let text = write(&thinking);
            prop_assert!(text.is_ascii() && text.starts_with(MARK));
            prop_assert_eq!(read(&text), Opaque::Thinking(thinking));
        }
    }

    #[test]
    fn what_is_not_ours_is_told_from_what_is_damaged() {
        assert_eq!(read("gAAAAABo"), Opaque::Foreign);
        let text = write("I look.");
        assert_eq!(read(&text[..text.len() - 3]), Opaque::Damaged);
        assert_eq!(read(&format!("{MARK}/w==")), Opaque::Damaged, "no text");
    }
}
