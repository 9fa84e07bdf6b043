//! The APIs that can be asked: a request in each, the text of its answers, and what of them varies.

use std::ops::Range;

use serde_json::{Value, json};

/// An API, told by the end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Text,
    Messages,
    Responses,
}

impl Api {
    /// What is no other's is a chat's: a forwarder may have it anywhere.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            _ if path.ends_with("/chat/completions") => Self::Chat,
            _ if path.ends_with("/completions") => Self::Text,
            _ if path.ends_with("/messages") => Self::Messages,
            _ if path.ends_with("/responses") => Self::Responses,
            _elsewhere => Self::Chat,
        }
    }

    /// The body of a request.
    pub(crate) fn body(self, model: &str, stream: bool) -> String {
        let question = "Why is the sky blue?";
        let messages = json!([{"role": "user", "content": question}]);
        let mut body = match self {
            Self::Chat => json!({"messages": messages}),
            Self::Text => json!({"prompt": question}),
            // The simulator heeds no limit.
            Self::Messages => json!({"messages": messages, "max_tokens": 100_000}),
            // What is kept of answers is no cost of a stream.
            Self::Responses => json!({"input": question, "store": false}),
        };
        body["model"] = model.into();
        body["stream"] = stream.into();
        body.to_string()
    }

    /// The text of an answer in one piece.
    fn text_of_whole(self, body: &Value) -> Option<&str> {
        match self {
            Self::Chat => &body["choices"][0]["message"]["content"],
            Self::Text => &body["choices"][0]["text"],
            Self::Messages => &body["content"][0]["text"],
            Self::Responses => &body["output"][0]["content"][0]["text"],
        }
        .as_str()
    }
}

/// What a stream has said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// It has said that this is all.
    pub(crate) ended: bool,
}

/// What a stream says, in any of the APIs, or in either dialect of the upstream. None if it says
/// that something went wrong, or cannot be read.
pub(crate) fn said(stream: &[u8]) -> Option<Said> {
    let mut said = Said::default();
    for event in std::str::from_utf8(stream).ok()?.split_terminator("\n\n") {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        match data {
            Some("[DONE]") => said.ended = true,
            Some(data) => said.hear(&serde_json::from_str(data).ok()?)?,
            None if event.starts_with(':') => {}
            None => return None,
        }
    }
    Some(said)
}

impl Said {
    fn hear(&mut self, event: &Value) -> Option<()> {
        let kind = event["type"].as_str();
        if !event["error"].is_null() || kind == Some("response.failed") {
            return None;
        }
        let choice = &event["choices"][0];
        let text = match kind {
            Some("response.output_text.delta") => &event["delta"],
            Some("content_block_delta") => &event["delta"]["text"],
            Some("chat:completion") => &event["data"]["delta_content"],
            Some(_other) => &Value::Null,
            None if choice["text"].is_string() => &choice["text"],
            None => &choice["delta"]["content"],
        };
        self.text += text.as_str().unwrap_or_default();
        let done = event["data"]["done"] == true;
        self.ended |= done || matches!(kind, Some("message_stop" | "response.completed"));
        Some(())
    }
}

/// What an answer in one piece says; a forwarder gives a stream instead.
pub(crate) fn said_whole(api: Api, body: &[u8]) -> Option<Said> {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) => Some(Said { text: api.text_of_whole(&body)?.to_owned(), ended: true }),
        Err(_) => said(body),
    }
}

/// Ids and times, as they begin and end.
const VARYING: [(&str, char); 8] = [
    ("\"id\":\"chatcmpl-", '"'),
    ("\"id\":\"cmpl-", '"'),
    ("\"id\":\"msg_", '"'),
    ("\"item_id\":\"msg_", '"'),
    ("\"id\":\"resp_", '"'),
    ("\"created\":", ','),
    ("\"created_at\":", ','),
    ("\"completed_at\":", ','),
];

/// Everything of an answer but ids and times.
pub(crate) fn fixed_in(answer: &[u8]) -> Vec<Range<usize>> {
    let text = String::from_utf8_lossy(answer);
    let mut varying: Vec<Range<usize>> = VARYING
        .iter()
        .flat_map(|(mark, close)| {
            text.match_indices(mark).map(|(at, mark)| {
                let start = at + mark.len();
                start..start + text[start..].find(*close).unwrap_or_default()
            })
        })
        .collect();
    varying.sort_by_key(|range| range.start);
    let mut fixed = Vec::new();
    let mut from = 0;
    for range in varying {
        fixed.push(from..range.start);
        from = range.end;
    }
    fixed.push(from..answer.len());
    fixed
}
