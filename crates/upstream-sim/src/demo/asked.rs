//! What a chat request asks for, as far as a plan cares.

use serde_json::Value;

/// So much of the question is quoted.
const QUOTED_CHARACTERS: usize = 60;

/// The part of a request that changes an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The beginning of the last user message, on one line.
    pub(crate) question: String,
    pub(crate) model: String,
    pub(crate) thinking: bool,
    pub(crate) search: bool,
    pub(crate) stream: bool,
}

impl Asked {
    pub(crate) fn of_web(body: &Value) -> Self {
        let features = &body["features"];
        let on = |name: &str| features[name] == true;
        Self {
            question: question(body),
            model: model(body),
            thinking: on("enable_thinking"),
            search: on("web_search") || on("auto_web_search"),
            // The web chat knows nothing else.
            stream: true,
        }
    }

    pub(crate) fn of_api(body: &Value) -> Self {
        let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            question: question(body),
            model: model(body),
            thinking: body["thinking"]["type"] == "enabled",
            search: tools.iter().any(|tool| tool["type"] == "web_search"),
            stream: body["stream"] == true,
        }
    }
}

fn model(body: &Value) -> String {
    body["model"].as_str().unwrap_or("simulated").to_owned()
}

fn question(body: &Value) -> String {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    let whole = last.map_or_else(String::new, |message| text_of(&message["content"]));
    let line = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The text of a message: a string, or the text parts of a list.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question_in(content: Value) -> String {
        question(&json!({ "messages": [
            { "role": "user", "content": "first" },
            { "role": "user", "content": content },
            { "role": "assistant", "content": "reply" },
        ]}))
    }

    #[test]
    fn the_last_user_message_is_the_question() {
        assert_eq!(question_in(json!("What\n  now?")), "What now?");
        let parts = json!([
            { "type": "text", "text": "Look:" },
            { "type": "image_url", "image_url": { "url": "data:" } },
            { "type": "text", "text": "a cat?" },
        ]);
        assert_eq!(question_in(parts), "Look: a cat?");
        assert_eq!(question(&json!({})), "");
    }

    #[test]
    fn a_long_question_is_quoted_in_part() {
        assert_eq!(question_in(json!("山".repeat(61))), format!("{}…", "山".repeat(60)));
    }
}
