//! An answer in the `openai` dialect.

use serde::Serialize;
use serde_json::json;

use super::answer::Answer;

const ID: &str = "20260101sim0001";
const CREATED: u64 = 1_767_225_600;

/// One chunk. The fields come in the order the real upstream writes them.
#[derive(Serialize)]
struct Chunk<'a> {
    id: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Delta<'a> {
    /// Stands in the first chunk and in the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

pub(super) fn events(answer: &Answer, model: &str) -> Vec<String> {
    let thinking = answer.thinking_pieces().map(|piece| (Some(piece), None));
    let text = answer.text_pieces().map(|piece| (None, Some(piece)));
    let mut events = Vec::new();
    for (reasoning_content, content) in thinking.chain(text) {
        let role = events.is_empty().then_some("assistant");
        events.push(chunk(model, Delta { role, reasoning_content, content }, None, None));
    }
    let last = Delta { role: Some("assistant"), reasoning_content: None, content: Some("") };
    events.push(chunk(model, last, Some("stop"), Some(usage(answer))));
    events.push("[DONE]".into());
    events
}

pub(super) fn completion(answer: &Answer, model: &str) -> String {
    let mut message = json!({ "role": "assistant", "content": answer.text });
    if !answer.thinking.is_empty() {
        message["reasoning_content"] = json!(answer.thinking);
    }
    json!({
        "id": ID,
        "created": CREATED,
        "model": model,
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": usage(answer),
    })
    .to_string()
}

fn usage(answer: &Answer) -> Usage {
    let (prompt_tokens, completion_tokens) = answer.usage;
    Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

fn chunk(
    model: &str,
    delta: Delta<'_>,
    finish_reason: Option<&'static str>,
    usage: Option<Usage>,
) -> String {
    let choices = [Choice { index: 0, delta, finish_reason }];
    let chunk = Chunk { id: ID, created: CREATED, model, choices, usage };
    serde_json::to_string(&chunk).expect("a chunk of texts and numbers is always JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn thinking_comes_before_content_and_usage_with_the_finish() {
        let answer = Answer { thinking: "ab".into(), text: "cde".into(), piece: 2, usage: (1, 2) };
        let events = answer.openai_events("glm-x");
        assert_eq!(events.last().unwrap(), "[DONE]");
        let chunks: Vec<Value> =
            events[..4].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        assert_eq!(chunks[0]["choices"][0]["delta"]["reasoning_content"], "ab");
        assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "cd");
        assert_eq!(chunks[2]["choices"][0]["delta"]["content"], "e");
        assert_eq!(chunks[2]["choices"][0].get("finish_reason"), None);
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[3]["usage"]["total_tokens"], 3);
        assert_eq!(chunks[3]["model"], "glm-x");
    }
}
