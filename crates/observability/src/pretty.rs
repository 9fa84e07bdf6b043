//! Lines for a person at a terminal: time, level, type, then `name=value`.

use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object a line, for programs.
    #[default]
    Json,
    /// `TIME LEVEL TYPE name=value …` a line, for people.
    Pretty,
}

impl std::str::FromStr for LogFormat {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(()),
        }
    }
}

/// A line of JSON, for a person. None for what is no object.
///
/// A text that is not one plain word stays in quotes with its escapes, so that nothing in it can
/// pass for a field, or for a line.
pub(crate) fn pretty(json: &str) -> Option<String> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let text = |name: &str| {
        let field = fields.iter().find(|(known, _)| known == name);
        field.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let time = text("timestamp").trim_start_matches(|c| c != 'T').trim_start_matches('T');
    let mut line = format!("{} {:5} {}", word(time), word(text("level")), word(text("type")));
    let rest = fields.iter().filter(|(name, value)| {
        !matches!(name.as_str(), "timestamp" | "level" | "type") && !value.is_null()
    });
    for (name, value) in rest {
        let value = match value {
            Value::String(text) => word(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        };
        // Writing to a string cannot fail.
        let _ = write!(line, " {}={value}", word(name));
    }
    Some(line)
}

/// As it is if it is one plain word; otherwise in quotes, escaped as in JSON.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

/// The fields of an object in their order.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_the_order_of_its_fields() {
        let json = r#"{"request_id":"req_1","timestamp":"2026-01-03T10:00:00.123Z","level":"INFO","type":"response","status_code":200,"error":null,"agent":"curl 9","attempts":[{"token":0}]}"#;
        let line = r#"10:00:00.123Z INFO  response request_id=req_1 status_code=200 agent="curl 9" attempts=[{"token":0}]"#;
        assert_eq!(pretty(json).unwrap(), line);
    }

    #[test]
    fn a_text_cannot_pass_for_a_field_or_a_line() {
        let json = serde_json::json!({"type": "request", "agent": "x status_code=200\nERROR \"y"});
        let line = pretty(&json.to_string()).unwrap();
        assert!(line.ends_with(r#"agent="x status_code=200\nERROR \"y""#), "{line}");
    }
}
