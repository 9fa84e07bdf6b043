//! What a client asks, with a secret in each of its fields.

use serde_json::{Value, json};

use crate::slots::secret;

/// A path, and a body for it.
pub(crate) type Asked = (&'static str, Value);

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// One request to each API, and the more telling ones to Chat Completions.
pub(crate) fn all(stream: bool) -> Vec<Asked> {
    let mut all = vec![
        (CHAT, chat()),
        (CHAT, plain()),
        (CHAT, image(&format!("data:image/png;base64,{}", secret("image-data")))),
        (CHAT, image(&format!("https://example.org/{}.png", secret("image-url")))),
        (CHAT, schema()),
        (
            "/v1/completions",
            json!({"model": "GLM-4.5", "prompt": secret("prompt"), "max_tokens": 9}),
        ),
        ("/v1/messages", messages()),
        ("/v1/responses", responses()),
    ];
    for (_, body) in &mut all {
        body["stream"] = stream.into();
    }
    let mut counted = messages();
    counted["messages"][0]["content"] = secret("counted").into();
    all.push(("/v1/messages/count_tokens", counted));
    all
}

/// What both dialects take.
pub(crate) fn plain() -> Value {
    json!({"model": "GLM-4.5-Search", "messages": [
        {"role": "system", "content": secret("system")},
        {"role": "user", "content": secret("user-text")}]})
}

fn chat() -> Value {
    let call = json!({"id": "c", "type": "function", "function": {
        "name": secret("tool-name"), "arguments": json!({"a": secret("tool-arguments")}).to_string()}});
    let tool = json!({"type": "function", "function": {
        "name": secret("tool-name"), "description": secret("tool-description"),
        "parameters": {"type": "object", "properties": {
            "a": {"type": "string", "description": secret("tool-parameter")}}}}});
    json!({
        "model": "GLM-4.5-Thinking",
        "messages": [
            {"role": "developer", "content": secret("developer")},
            {"role": "user", "content": secret("user-text")},
            {"role": "assistant", "content": secret("assistant"),
                "reasoning_content": secret("assistant-thought"), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": secret("tool-result")},
        ],
        "tools": [tool], "stop": [secret("stop")], "user": secret("end-user"),
        "metadata": {"a": secret("metadata")}, "prompt_cache_key": secret("cache-key"),
        "prediction": {"type": "content", "content": secret("prediction")},
        "some_new_field": secret("unknown-field"),
    })
}

fn image(url: &str) -> Value {
    json!({"model": "GLM-4.5V", "messages": [{"role": "user", "content": [
        {"type": "text", "text": secret("user-text")},
        {"type": "image_url", "image_url": {"url": url}}]}]})
}

pub(crate) fn schema() -> Value {
    let schema = json!({"type": "object", "description": secret("schema")});
    let mut body = plain();
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
    body
}

fn messages() -> Value {
    let thinking =
        json!({"type": "thinking", "thinking": secret("messages-thought"), "signature": "s"});
    let call = json!({"type": "tool_use", "id": "t", "name": "look",
        "input": {"a": secret("messages-arguments")}});
    let document = json!({"type": "document", "title": "A book",
        "source": {"type": "text", "media_type": "text/plain", "data": secret("messages-document")}});
    let result =
        json!({"type": "tool_result", "tool_use_id": "t", "content": secret("messages-result")});
    json!({
        "model": "GLM-4.5-Thinking", "max_tokens": 9, "system": secret("messages-system"),
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": secret("messages-text")}, document]},
            {"role": "assistant", "content": [thinking, call]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": secret("messages-user-id")},
        "stop_sequences": [secret("stop-sequence")],
    })
}

fn responses() -> Value {
    json!({
        "model": "GLM-4.5-Thinking", "instructions": secret("instructions"),
        "metadata": {"a": secret("responses-metadata")},
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": false}],
        "input": [
            {"role": "user", "content": secret("input")},
            {"type": "reasoning", "id": "rs_1", "summary": [],
                "content": [{"type": "reasoning_text", "text": secret("responses-thought")}]},
            {"type": "function_call", "call_id": "c", "name": "look",
                "arguments": json!({"a": secret("responses-arguments")}).to_string()},
            {"type": "function_call_output", "call_id": "c", "output": secret("responses-output")},
        ],
    })
}

/// Bodies that cannot be understood, for each API.
pub(crate) fn mistakes() -> Vec<String> {
    let half = chat().to_string();
    let text = secret("user-text");
    vec![
        half[..half.len() - 9].to_owned(),
        format!("{{\"model\":\"GLM-4.5\",\"messages\":\"{text}\"}}"),
        format!(
            "{{\"model\":\"GLM-4.5\",\"messages\":[{{\"role\":\"{text}\"}}],\"input\":[{{\"role\":\"{text}\"}}]}}"
        ),
        json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": text}],
            "temperature": 99, "n": 7, "response_format": {"type": "json_object"}})
        .to_string(),
        json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}], "input": "x",
            "tools": [{"type": text, "name": text, "function": {"name": {"a": text}}}],
            "tool_choice": text, "stop": {"a": text}, "user": {"a": text}, "metadata": text})
        .to_string(),
        format!("{text} is no JSON"),
    ]
}
