//! Citation marks in the answer (`【turn0search3】`): a link to the source, or nothing.

use crate::sources::{Source, Sources};

const OPEN: char = '【';
const CLOSE: char = '】';
/// A longer run after `【` is text.
const MAX_MARK: usize = 96;

/// Finds marks in text that comes in pieces, and holds back what may still become one.
#[derive(Debug)]
pub(crate) struct Citations {
    /// Marks stay as they are.
    raw: bool,
    held: String,
}

impl Citations {
    /// With `raw`, marks are found but stay as they are.
    pub(crate) fn new(raw: bool) -> Self {
        Self { raw, held: String::new() }
    }

    /// Takes a piece of the answer and hands on what is certain, each citation by itself with its
    /// source.
    pub(crate) fn push(
        &mut self,
        text: &str,
        sources: &mut Sources,
        out: &mut impl FnMut(&str, Option<&Source>),
    ) {
        if self.held.is_empty() && (text.is_ascii() || !text.contains(OPEN)) {
            return out(text, None);
        }
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        while let Some(at) = rest.find(OPEN) {
            if at > 0 {
                out(&rest[..at], None);
            }
            rest = &rest[at..];
            match mark_at(&rest[OPEN.len_utf8()..]) {
                Mark::Whole { name, number } => {
                    let source = sources.find(name);
                    let (mark, after) =
                        rest.split_at(OPEN.len_utf8() + name.len() + CLOSE.len_utf8());
                    match source {
                        _ if self.raw => out(mark, source),
                        Some(known) => out(&link(number, &known.url), source),
                        None => {}
                    }
                    rest = after;
                }
                Mark::Begun => {
                    rest.clone_into(&mut self.held);
                    return;
                }
                Mark::Text => {
                    out(&rest[..OPEN.len_utf8()], None);
                    rest = &rest[OPEN.len_utf8()..];
                }
            }
        }
        if !rest.is_empty() {
            out(rest, None);
        }
    }

    /// No more text comes: an incomplete mark was text.
    pub(crate) fn flush(&mut self, out: &mut impl FnMut(&str)) {
        if !self.held.is_empty() {
            out(&std::mem::take(&mut self.held));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Mark<'a> {
    Whole { name: &'a str, number: &'a str },
    Begun,
    Text,
}

/// A mark after its `【`: `turn`, digits, the tool's word, digits, `】`.
fn mark_at(text: &str) -> Mark<'_> {
    let Some(rest) = text.strip_prefix("turn") else {
        return if "turn".starts_with(text) { Mark::Begun } else { Mark::Text };
    };
    let tool = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = tool.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let close = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &number[..number.len() - close.len()];
    if text.len() - close.len() > MAX_MARK {
        return Mark::Text;
    }
    if close.is_empty() {
        return Mark::Begun;
    }
    let complete = tool.len() < rest.len() && number.len() < tool.len() && !digits.is_empty();
    if complete && close.starts_with(CLOSE) {
        Mark::Whole { name: &text[..text.len() - close.len()], number: digits }
    } else {
        Mark::Text
    }
}

/// A Markdown link; what would end it early is percent-encoded.
fn link(number: &str, url: &str) -> String {
    let mut link = format!("[{number}](");
    for c in url.chars() {
        match c {
            '(' => link.push_str("%28"),
            ')' => link.push_str("%29"),
            '<' => link.push_str("%3C"),
            '>' => link.push_str("%3E"),
            c if c.is_whitespace() || c.is_control() => link.push_str("%20"),
            c => link.push(c),
        }
    }
    link.push(')');
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        check_in(false, text, expected);
    }

    fn check_in(raw: bool, text: &str, expected: &str) {
        let whole = [text.to_owned()];
        let chars: Vec<String> = text.chars().map(String::from).collect();
        for pieces in [&whole[..], &chars[..]] {
            let mut sources = Sources::default();
            sources.add_output("[ref_id=turn0search3†A title†https://example.org/a_(b)]\nDate: x");
            let (mut citations, mut out) = (Citations::new(raw), String::new());
            for piece in pieces {
                citations.push(piece, &mut sources, &mut |text, _| out.push_str(text));
            }
            citations.flush(&mut |text| out.push_str(text));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_mark_becomes_a_link_to_its_source() {
        check("x【turn0search3】y", "x[3](https://example.org/a_%28b%29)y");
    }

    #[test]
    fn a_mark_of_an_unknown_source_goes() {
        check("x【turn1click7】y", "xy");
    }

    #[test]
    fn what_turns_out_to_be_text_is_text() {
        for text in ["【重要】", "【turn】", "【turn0】", "a【turn0search", "【【turn0x】", "【"]
        {
            check(text, text);
        }
    }

    #[test]
    fn raw_marks_stay() {
        for text in ["x【turn0search3】y", "x【turn1click7】y", "a【turn0search"] {
            check_in(true, text, text);
        }
    }
}
