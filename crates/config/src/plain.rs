//! The value that is meant, out of the text that was given.
//!
//! One `.env` file comes here in three ways: read by the gateway, by `docker run --env-file`, or by
//! systemd. The last two hand over all that follows the `=`, comments and quotes too. So that the
//! file means the same in each, a variable of the environment may have them as well.

/// What stands before a comment: a `#` with white space before it, outside quotes. White space at
/// both ends is left out.
pub(crate) fn without_comment(text: &str) -> &str {
    let start = text.len() - text.trim_start().len();
    let unquoted = closing_quote(&text[start..]).map_or(0, |end| start + end + 1);
    let is_comment = |at: usize| {
        let (before, after) = (text[..at].chars().next_back(), text[at + 1..].chars().next());
        match before {
            Some(before) => before.is_whitespace(),
            // Nothing but a comment; "#1" may be meant as it stands.
            None => after.is_none_or(char::is_whitespace),
        }
    };
    let mut marks = text[unquoted..].match_indices('#').map(|(at, _)| unquoted + at);
    text[..marks.find(|at| is_comment(*at)).unwrap_or(text.len())].trim()
}

/// The value within the quotes around it, if there are any.
pub(crate) fn without_quotes(value: &str) -> &str {
    match closing_quote(value) {
        Some(end) if end + 1 == value.len() => &value[1..end],
        Some(_) | None => value,
    }
}

/// Where the quotes close that the text begins with.
fn closing_quote(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    text[1..].find(quote).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_needs_white_space_before_it() {
        for (text, value) in [
            ("balanced", "balanced"),
            ("balanced         # fast/balanced/secure", "balanced"),
            ("true\t#yes", "true"),
            ("  # optional", ""),
            (" #optional", ""),
            ("# optional", ""),
            ("#", ""),
            ("", ""),
            ("#1", "#1"),
            ("a#b", "a#b"),
            ("a#b # c # d", "a#b"),
            ("8080 # it's \"ours\"", "8080"),
            ("\"a # b\" # c", "\"a # b\""),
            ("'a # b'", "'a # b'"),
            ("'a # b", "'a"),
        ] {
            assert_eq!(without_comment(text), value, "{text:?}");
        }
    }

    #[test]
    fn quotes_around_a_value_are_not_of_it() {
        for (text, value) in [
            ("\"a b\"", "a b"),
            ("'a'", "a"),
            ("''", ""),
            ("\"a'", "\"a'"),
            ("a'b'", "a'b'"),
            ("'", "'"),
        ] {
            assert_eq!(without_quotes(text), value, "{text:?}");
        }
        assert_eq!(without_quotes("'a','b'"), "'a','b'");
    }
}
