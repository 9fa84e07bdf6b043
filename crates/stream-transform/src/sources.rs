//! What the upstream's search has found, by the names that answers cite it with.

use std::collections::HashMap;

use serde_json::Value;

const MAX_SOURCES: usize = 4096;
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// A page that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// An `http` or `https` URL.
    pub(crate) url: String,
    /// Its title, or its URL if it has none.
    pub(crate) title: String,
}

/// What was found, in the order it came.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    found: Vec<Source>,
    by_name: HashMap<String, usize>,
    /// Tool output that has not been looked through yet: it comes in pieces.
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
        if from < to
            && let Ok(json) = serde_json::from_str::<Value>(&block[from..=to])
        {
            self.walk(&json, 0);
        }
    }

    /// Takes one page. Only pages of the web are sources; a later one of a name replaces it.
    pub(crate) fn insert(&mut self, name: &str, title: &str, url: &str) {
        let (name, title, url) = (name.trim(), title.trim(), url.trim());
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !web || self.found.len() >= MAX_SOURCES {
            return;
        }
        let title = if title.is_empty() { url } else { title };
        let source = Source { url: url.to_owned(), title: title.to_owned() };
        if !name.is_empty() {
            self.by_name.insert(name.to_owned(), self.found.len());
        }
        self.found.push(source);
    }

    /// The page that the answer cites by this name.
    pub(crate) fn find(&mut self, name: &str) -> Option<&Source> {
        self.read_all();
        self.by_name.get(name).map(|at| &self.found[*at])
    }

    /// All pages.
    pub(crate) fn all(&mut self) -> &[Source] {
        self.read_all();
        &self.found
    }

    fn read_all(&mut self) {
        if !self.unread.is_empty() {
            let output = std::mem::take(&mut self.unread);
            self.read(&output);
        }
    }

    /// Results stand as `[ref_id=NAME†TITLE†URL]`.
    fn read(&mut self, output: &str) {
        for part in output.split("[ref_id=").skip(1) {
            let Some((name, rest)) = part.split_once('†') else { continue };
            // A title may hold the separator, and may be empty.
            let (title, url) = match rest.find("†http") {
                Some(at) => (&rest[..at], &rest[at + '†'.len_utf8()..]),
                None => ("", rest),
            };
            if let Some((url, _)) = url.split_once(']') {
                self.insert(name, title, url);
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
                let text = |name| object.get(name).and_then(Value::as_str);
                if let (Some(name), Some(url)) = (text("ref_id"), text("url")) {
                    self.insert(name, text("title").unwrap_or_default(), url);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(sources: &mut Sources) -> Vec<(&str, &str)> {
        let all = sources.all().iter();
        all.map(|source| (source.title.as_str(), source.url.as_str())).collect()
    }

    #[test]
    fn results_are_read_from_tool_output_in_pieces() {
        let output = "[ref_id=turn0search0†One†https://a.example/1]\nDate: x\n\
                      [ref_id=turn0search1†T†wo†https://a.example/2] [ref_id=bad] \
                      [ref_id=turn0search2††https://a.example/3][ref_id=x†y†ftp://a.example]";
        let mut sources = Sources::default();
        for c in output.chars() {
            sources.add_output(c.encode_utf8(&mut [0; 4]));
        }
        let expected = [
            ("One", "https://a.example/1"),
            ("T†wo", "https://a.example/2"),
            ("https://a.example/3", "https://a.example/3"),
        ];
        assert_eq!(titles(&mut sources), expected);
        assert_eq!(sources.find("turn0search1").unwrap().url, "https://a.example/2");
    }

    #[test]
    fn a_tool_block_tells_sources_too() {
        let mut sources = Sources::default();
        sources.add_block(
            r#"<glm_block >{"data":{"metadata":{"result":"{\"search_result\":[{\"title\":\"t\",\"url\":\"https://a.example\",\"ref_id\":\"turn0search1\"}]}"}}}</glm_block>"#,
        );
        sources.add_block("<glm_block >} {</glm_block>");
        assert_eq!(titles(&mut sources), [("t", "https://a.example")]);
        assert_eq!(sources.find("turn0search1").unwrap().url, "https://a.example");
    }
}
