//! Recognises tags whose end may not have arrived.

/// A longer tag or summary is text.
const MAX_TAG: usize = 4096;

/// How the start of a text compares with a list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// It starts with a word of this length.
    Whole(usize),
    /// It may become one.
    Begun,
    /// It is none.
    Not,
}

/// Compares the start of `text` with `words`. Empty text has begun any of them.
pub(crate) fn match_any(text: &str, words: &[&str]) -> Match {
    if let Some(word) = words.iter().find(|word| text.starts_with(**word)) {
        return Match::Whole(word.len());
    }
    if words.iter().any(|word| word.starts_with(text)) { Match::Begun } else { Match::Not }
}

/// The markup before the first line of a block of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// It has this length: the tag, its line end, and a summary with its line end.
    Whole(usize),
    /// More must be seen.
    Begun,
    /// The text starts otherwise.
    Not,
}

/// Reads `<details …>`, one line end, and `<summary>…</summary>` with one line end if it is there.
/// Unless `any`, the tag must say `type="reasoning"` first.
pub(crate) fn head(text: &str, any: bool) -> Head {
    let name = if any { "<details" } else { "<details type=\"reasoning\"" };
    match match_any(text, &[name]) {
        Match::Begun => return Head::Begun,
        Match::Not => return Head::Not,
        Match::Whole(_) => {}
    }
    match text.as_bytes().get(name.len()) {
        None => return Head::Begun,
        Some(b' ' | b'\n' | b'\t' | b'>') => {}
        Some(_) => return Head::Not,
    }
    let Some(end) = tag_end(text, name.len()) else {
        return if text.len() > MAX_TAG { Head::Not } else { Head::Begun };
    };
    let line = match text[end..].chars().next() {
        None => return Head::Begun,
        Some('\n') => end + 1,
        Some(_) => end,
    };
    summary(text, line)
}

/// The length of the head when its tag and line end are `line` bytes.
fn summary(text: &str, line: usize) -> Head {
    match match_any(&text[line..], &["<summary>"]) {
        Match::Begun => return Head::Begun,
        Match::Not => return Head::Whole(line),
        Match::Whole(_) => {}
    }
    let close = "</summary>";
    match text[line..].find(close) {
        Some(at) => {
            let end = line + at + close.len();
            match text[end..].chars().next() {
                None => Head::Begun,
                Some('\n') => Head::Whole(end + 1),
                Some(_) => Head::Whole(end),
            }
        }
        None if text.len() - line > MAX_TAG => Head::Whole(line),
        None => Head::Begun,
    }
}

/// Just after the `>` that ends the tag; one inside quotes does not.
fn tag_end(text: &str, from: usize) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate().skip(from).take(MAX_TAG) {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_tag_a_line_end_and_a_summary() {
        let whole = "<details type=\"reasoning\" a=\">\">\n<summary>x</summary>\n> y";
        let length = whole.len() - 3;
        assert_eq!(head(whole, false), Head::Whole(length));
        for end in 0..=length - 1 {
            assert_eq!(head(&whole[..end], false), Head::Begun, "{:?}", &whole[..end]);
        }
        assert_eq!(head("<details>\n> y", true), Head::Whole(10));
        assert_eq!(head("<details>y", true), Head::Whole(9));
    }

    #[test]
    fn other_text_is_no_head() {
        for text in ["x", "<detailsx", "<details open>", "<detail type"] {
            assert_eq!(head(text, false), Head::Not, "{text}");
        }
        assert_eq!(head(&format!("<details {}", "x".repeat(9000)), true), Head::Not);
    }
}
