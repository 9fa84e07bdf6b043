//! Citation marks in the answer (`【turn0search3】`): a link to the source, or nothing.

use std::collections::HashMap;

use serde_json::Value;

const OPEN: char = '【';
const CLOSE: char = '】';
/// A longer run after `【` is text.
const MAX_MARK: usize = 96;
const MAX_SOURCES: usize = 4096;
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// What the upstream's tools have found, by the name the answer cites it with.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    urls: HashMap<String, String>,
    /// Tool output that has not been looked through yet: most answers cite nothing.
    unread: String,
}

impl Sources {
    /// Takes tool output, in pieces of any size.
    pub(crate) fn add_output(&mut self, text: &str) {
        if self.unread.len() + text.len() <= MAX_UNREAD {
            self.unread.push_str(text);
        }
    }

    /// Takes a whole `<glm_block …>{…}</glm_block>`.
    pub(crate) fn add_block(&mut self, block: &str) {
        let (Some(from), Some(to)) = (block.find('{'), block.rfind('}')) else { return };
        if let Ok(json) = serde_json::from_str::<Value>(&block[from..=to]) {
            self.walk(&json, 0);
        }
    }

    fn url(&mut self, name: &str) -> Option<&str> {
        if !self.unread.is_empty() {
            let output = std::mem::take(&mut self.unread);
            self.read(&output);
        }
        self.urls.get(name).map(String::as_str)
    }

    /// Results stand as `[ref_id=NAME†TITLE†URL]`.
    fn read(&mut self, output: &str) {
        for part in output.split("[ref_id=").skip(1) {
            let mut fields = part.splitn(3, '†');
            let (Some(name), Some(_), Some(rest)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if let Some(end) = rest.find(']') {
                self.insert(name, &rest[..end]);
            }
        }
    }

    /// Looks for objects with a `ref_id` and a `url`, also in strings that hold JSON.
    fn walk(&mut self, json: &Value, depth: u8) {
        if depth > 12 {
            return;
        }
        match json {
            Value::Object(object) => {
                if let (Some(Value::String(name)), Some(Value::String(url))) =
                    (object.get("ref_id"), object.get("url"))
                {
                    self.insert(name, url);
                }
                for inner in object.values() {
                    self.walk(inner, depth + 1);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, depth + 1)),
            Value::String(text) => {
                if text.contains("ref_id")
                    && let Ok(inner) = serde_json::from_str::<Value>(text)
                {
                    self.walk(&inner, depth + 1);
                }
                self.read(text);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn insert(&mut self, name: &str, url: &str) {
        let web = url.starts_with("https://") || url.starts_with("http://");
        if web && self.urls.len() < MAX_SOURCES {
            self.urls.insert(name.trim().to_owned(), url.trim().to_owned());
        }
    }
}

/// Finds marks in text that comes in pieces, and holds back what may still become one.
#[derive(Debug, Default)]
pub(crate) struct Citations {
    held: String,
}

impl Citations {
    /// Takes a piece of the answer and hands on what is certain.
    pub(crate) fn push(&mut self, text: &str, sources: &mut Sources, out: &mut impl FnMut(&str)) {
        if self.held.is_empty() && !text.contains(OPEN) {
            return out(text);
        }
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        while let Some(at) = rest.find(OPEN) {
            if at > 0 {
                out(&rest[..at]);
            }
            rest = &rest[at..];
            match mark_at(&rest[OPEN.len_utf8()..]) {
                Mark::Whole { name, number } => {
                    if let Some(url) = sources.url(name) {
                        out(&link(number, url));
                    }
                    rest = &rest[OPEN.len_utf8() + name.len() + CLOSE.len_utf8()..];
                }
                Mark::Begun => {
                    rest.clone_into(&mut self.held);
                    return;
                }
                Mark::Text => {
                    out(&rest[..OPEN.len_utf8()]);
                    rest = &rest[OPEN.len_utf8()..];
                }
            }
        }
        if !rest.is_empty() {
            out(rest);
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
        let whole = [text.to_owned()];
        let chars: Vec<String> = text.chars().map(String::from).collect();
        for pieces in [&whole[..], &chars[..]] {
            let mut sources = Sources::default();
            sources.add_output("[ref_id=turn0search3†A title†https://example.org/a_(b)]\nDate: x");
            let (mut citations, mut out) = (Citations::default(), String::new());
            for piece in pieces {
                citations.push(piece, &mut sources, &mut |text| out.push_str(text));
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
    fn a_tool_block_tells_sources_too() {
        let mut sources = Sources::default();
        sources.add_block(
            r#"<glm_block >{"data":{"metadata":{"result":"{\"search_result\":[{\"title\":\"t\",\"url\":\"https://a.example\",\"ref_id\":\"turn0search1\"}]}"}}}</glm_block>"#,
        );
        assert_eq!(sources.url("turn0search1"), Some("https://a.example"));
    }
}
