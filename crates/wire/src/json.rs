//! Reads a request's JSON, and tells what is wrong with it without repeating what was sent.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// JSON may not be nested deeper than this.
pub const MAX_DEPTH: usize = 64;

/// Why JSON cannot be read. Holds nothing of what was sent, but for names of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// The field at fault, as a path such as `messages[2].content[0].type`.
    pub param: Option<String>,
    /// A sentence for a person.
    pub message: String,
}

/// A struct that is read from an object only. serde takes an array for any struct, too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<T> Object<T> {
    /// Reads a list of objects.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn list<'de, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        let list = Vec::<Self>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|object| object.0).collect())
    }
}

/// Reads a body that has come from outside: an object.
///
/// # Errors
/// [`Unreadable`] for an empty body, a byte order mark, bytes that are not UTF-8, JSON nested
/// deeper than [`MAX_DEPTH`], and what [`read_part`] refuses.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let valid = String::from_utf8_lossy(&body[..at]);
        let message = format!("The request body is not UTF-8 (at byte {at}).");
        Unreadable { param: path_at(&valid), message }
    })?;
    if text.trim_ascii().is_empty() {
        let message = "The request has no body; it must be a JSON object.".to_owned();
        return Err(Unreadable { param: None, message });
    }
    if text.starts_with('\u{feff}') {
        let message = "The request body begins with a byte order mark (at byte 0); \
                       JSON is sent without one."
            .to_owned();
        return Err(Unreadable { param: None, message });
    }
    if let Some(at) = too_deep(text) {
        let message =
            format!("The request body is nested deeper than {MAX_DEPTH} levels (at byte {at}).");
        return Err(Unreadable { param: path_at(&text[..at]), message });
    }
    let read = parse::<Object<T>>(text).map(|object| object.0);
    read.map_err(|(path, error)| describe(path, &error, Place::Whole))
}

/// Reads a part of a body that [`read`] has kept as it is; `param` is its path.
///
/// # Errors
/// [`Unreadable`] for JSON of another shape.
pub fn read_part<'a, T: Deserialize<'a>>(json: &'a str, param: &str) -> Result<T, Unreadable> {
    parse(json).map_err(|(path, error)| {
        let path = match path {
            Some(path) if path.starts_with('[') => format!("{param}{path}"),
            Some(path) => format!("{param}.{path}"),
            None => param.to_owned(),
        };
        describe(Some(path), &error, Place::Part)
    })
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, (Option<String>, serde_json::Error)> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        (Some(path).filter(|path| path != "."), error.into_inner())
    })?;
    reader.end().map_err(|error| (None, error))?;
    Ok(value)
}

/// Whether positions in an error count from the body's start.
#[derive(Clone, Copy)]
enum Place {
    Whole,
    Part,
}

fn describe(path: Option<String>, error: &serde_json::Error, place: Place) -> Unreadable {
    let place = match place {
        Place::Whole => format!(" (line {}, column {})", error.line(), error.column()),
        Place::Part => String::new(),
    };
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let wrong = |param: Option<String>, message: String| Unreadable { param, message };
    if !error.is_data() {
        if text == "number out of range" {
            let name = path.as_deref().unwrap_or("A number");
            return wrong(path.clone(), format!("`{name}` is out of range{place}."));
        }
        let what = if error.is_eof() { "ends too early" } else { "is not valid JSON" };
        return wrong(None, format!("The request body {what}{place}."));
    }
    if let Some(name) = field_in(text, "missing field", path.as_deref()) {
        return wrong(Some(name.clone()), format!("`{name}` is missing{place}."));
    }
    if let Some(name) = field_in(text, "duplicate field", path.as_deref()) {
        return wrong(Some(name.clone()), format!("`{name}` is given twice{place}."));
    }
    let expected = text.split_once("expected ").map(|(_, expected)| in_words(expected));
    let message = match (&path, expected) {
        (Some(path), Some(expected)) => format!("`{path}` must be {expected}{place}."),
        (Some(path), None) => format!("`{path}` is not of the right form{place}."),
        (None, _) => format!("The request body must be a JSON object{place}."),
    };
    wrong(path, message)
}

/// The path of the field that serde names after `prefix`.
fn field_in(text: &str, prefix: &str, path: Option<&str>) -> Option<String> {
    let name = text.strip_prefix(prefix)?.strip_prefix(" `")?.split('`').next()?;
    let is_last = |path: &str| path.rsplit('.').next() == Some(name);
    Some(match path {
        Some(path) if !is_last(path) => format!("{path}.{name}"),
        Some(path) => path.to_owned(),
        None => name.to_owned(),
    })
}

/// What serde expected, in words that are not Rust's.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "u32" | "usize" => "a whole number of at least 0, and not too large",
        "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("internally tagged enum ") => "an object",
        other => other,
    }
}

/// Where JSON becomes nested too deeply, as a byte offset. Does not recurse.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut scan = Scan::new(text);
    while let Some((at, token)) = scan.next() {
        match token {
            Token::Open => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            Token::Close => depth = depth.saturating_sub(1),
            Token::Text { .. } | Token::Comma => {}
        }
    }
    None
}

/// The path of what stands at the end of this beginning of an object, two levels deep at most:
/// `messages[2]`. None if a name in it is no plain word.
fn path_at(text: &str) -> Option<String> {
    let (mut depth, mut key, mut index) = (0_usize, None, None);
    let bytes = text.as_bytes();
    let mut scan = Scan::new(text);
    while let Some((at, token)) = scan.next() {
        match token {
            Token::Open => {
                depth += 1;
                if depth == 2 {
                    index = (bytes[at] == b'[').then_some(0_usize);
                }
            }
            Token::Close => depth = depth.saturating_sub(1),
            Token::Comma if depth == 2 => index = index.map(|index| index + 1),
            Token::Text { end } if depth == 1 => {
                let after = text[end..].trim_start();
                if after.starts_with(':') {
                    key = Some(&text[at + 1..end - 1]);
                    index = None;
                }
            }
            Token::Comma | Token::Text { .. } => {}
        }
    }
    let is_word =
        |key: &&str| key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let key = key.filter(is_word)?;
    Some(match index {
        Some(index) if depth >= 2 => format!("{key}[{index}]"),
        Some(_) | None => key.to_owned(),
    })
}

/// The tokens of JSON that shape it, valid or not.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Token {
    Open,
    Close,
    Comma,
    /// A string, up to the byte after its quote.
    Text {
        end: usize,
    },
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    fn next(&mut self) -> Option<(usize, Token)> {
        loop {
            let at = self.at;
            let byte = *self.bytes.get(at)?;
            self.at += 1;
            return Some((
                at,
                match byte {
                    b'{' | b'[' => Token::Open,
                    b'}' | b']' => Token::Close,
                    b',' => Token::Comma,
                    b'"' => Token::Text { end: self.string_end()? },
                    _ => continue,
                },
            ));
        }
    }

    /// Goes past a string whose first quote has been read.
    fn string_end(&mut self) -> Option<usize> {
        loop {
            let found = memchr::memchr2(b'"', b'\\', &self.bytes[self.at..])?;
            let quote = self.bytes[self.at + found] == b'"';
            self.at = (self.at + found + if quote { 1 } else { 2 }).min(self.bytes.len());
            if quote {
                return Some(self.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(rename = "number")]
        _number: f64,
    }

    fn check(body: impl AsRef<[u8]>, param: Option<&str>, says: &str) {
        let error = read::<Body>(body.as_ref()).expect_err("a refusal");
        assert_eq!(error.param.as_deref(), param, "{error}");
        assert!(error.message.contains(says), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    }

    #[test]
    fn what_is_no_json_text_is_told_by_its_byte() {
        check("", None, "no body");
        check(" \n", None, "no body");
        check("\u{feff}{}", None, "at byte 0");
        check(b"{\"number\":1,\"secret\":\"\xff", Some("secret"), "not UTF-8 (at byte 22)");
        check(b"{\"a\":[1,[],{\"b\":\"\xc3\"}]}", Some("a[2]"), "not UTF-8 (at byte 17)");
        check("{\"number\":", None, "ends too early");
        check("{secret:1}", None, "not valid JSON");
        check("{\"number\":1} secret", None, "not valid JSON");
        check("[\"secret\"]", None, "must be");
    }

    #[test]
    fn a_field_is_told_by_its_path() {
        check("{}", Some("number"), "`number` is missing");
        check("{\"number\":\"secret\"}", Some("number"), "`number` must be a number (line 1");
        check("{\"number\":1,\"number\":2}", Some("number"), "given twice");
        check("{\"number\":1e400}", Some("number"), "out of range");
    }

    #[test]
    fn deep_nesting_is_refused_wherever_it_is_and_however_deep() {
        let deep = |depth: usize| format!("{{\"number\":1,\"x\":[7,{}", "[".repeat(depth));
        check(deep(MAX_DEPTH), Some("x[1]"), "deeper than 64");
        check(deep(5_000_000), Some("x[1]"), "deeper than 64");
        let fits = format!("{{\"number\":1,\"x\":{}{}}}", "[".repeat(63), "]".repeat(63));
        assert!(read::<Body>(fits.as_bytes()).is_ok());
        let in_text = format!("{{\"number\":1,\"x\":\"{}\\\"{{\"}}", "[{\\\\".repeat(100));
        assert!(read::<Body>(in_text.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = read::<Body>(&bytes);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:\\\\a1é\u{0} ]{0,40}") {
            let ours = read::<Value>(text.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
            prop_assert_eq!(ours, theirs);
        }
    }
}
