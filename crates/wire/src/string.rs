//! The inside of a JSON string: what stands for itself there, and what is escaped.

/// How many bytes at the start stand for themselves: no quote, no backslash, no control character.
///
/// ```
/// assert_eq!(z2api_wire::string::plain_len(b"say \"hi\""), 4);
/// ```
pub fn plain_len(bytes: &[u8]) -> usize {
    let Some(last) = bytes.last_chunk() else { return short_plain_len(bytes) };
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        match plain_in(word.try_into().expect("eight bytes")) {
            8 => at += 8,
            plain => return at + plain,
        }
    }
    // What it shares with the word before it is known to be plain.
    bytes.len() - 8 + plain_in(*last)
}

/// Of less than eight bytes.
fn short_plain_len(bytes: &[u8]) -> usize {
    let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    plain_in(word.to_le_bytes())
}

/// How many of eight bytes, up to the first that is not plain. They are looked at together: what
/// marks that byte in its high bit may mark later ones too, by a borrow.
fn plain_in(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let marks = (below(word, 0x20) | is(b'"') | is(b'\\')) & HIGH;
    (marks.trailing_zeros() / 8) as usize
}

/// Puts the text that the inside of a JSON string stands for into `out`, in place of what was
/// there. False if it is no such inside, or if it has half a character in an escape.
#[must_use]
pub(crate) fn unescape(inside: &str, out: &mut String) -> bool {
    out.clear();
    let mut rest = inside;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest.as_bytes()));
        out.push_str(plain);
        if tail.is_empty() {
            return true;
        }
        let Some((character, length)) = escape(tail.as_bytes()) else { return false };
        out.push(character);
        rest = &tail[length..];
    }
}

/// The escape that `tail` starts with, and its length.
fn escape(tail: &[u8]) -> Option<(char, usize)> {
    if tail[0] != b'\\' {
        return None;
    }
    let character = match tail.get(1)? {
        mark @ (b'"' | b'\\' | b'/') => char::from(*mark),
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return Some((unit(tail.get(2..6)?)?, 6)),
        _other => return None,
    };
    Some((character, 2))
}

/// A character by its four hexadecimal digits.
fn unit(digits: &[u8]) -> Option<char> {
    let digit = |value: u32, digit: &u8| Some(value * 16 + char::from(*digit).to_digit(16)?);
    char::from_u32(digits.iter().try_fold(0, digit)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_plain_len(bytes: &[u8]) -> usize {
        bytes.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count()
    }

    #[test]
    fn what_is_not_the_inside_of_a_string_is_refused() {
        for inside in ["\"", "\n", "a\u{1f}", "\\", "\\x", "\\u12", "\\u+123", "\\ud800", "\\u123é"]
        {
            assert!(!unescape(inside, &mut String::new()), "{inside:?}");
        }
    }

    proptest! {
        #[test]
        fn plain_bytes_are_counted_up_to_the_first_other(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(plain_len(&bytes), slow_plain_len(&bytes));
        }

        #[test]
        fn plain_bytes_are_counted_between_close_calls(
            bytes in prop::collection::vec(
                prop::sample::select(vec![0, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0x5d, 0x80, 0xa2, 0xdc, 0xff]),
                0..40,
            ),
        ) {
            prop_assert_eq!(plain_len(&bytes), slow_plain_len(&bytes));
        }

        #[test]
        fn unescaping_is_what_a_json_parser_does(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "é", "天气", "🙂", "\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t",
                    "\\u003c", "\\u00E9", "\\u0000", "\\ud83d\\ude42", "\\ud83d", "\\u12", "\\x",
                    "\"", "\\", "\n", "\u{1}", "0123456789abcdef",
                ]),
                0..12,
            ),
        ) {
            let inside = pieces.concat();
            let parsed = serde_json::from_str::<String>(&format!("\"{inside}\"")).ok();
            let mut text = "what was there".to_owned();
            if unescape(&inside, &mut text) {
                prop_assert_eq!(Some(text), parsed);
            } else {
                // A pair of escapes for one character is left to the parser.
                prop_assert!(parsed.is_none() || inside.contains("\\ud83d\\ude42"));
            }
        }
    }
}
