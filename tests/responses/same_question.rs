//! The same question, asked by Chat Completions and by the Responses API: the same request upstream.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_wire::event::Dialect;

use crate::like_chat::{api, web};
use crate::{ask, asked};

/// What the upstream is asked, without what differs from request to request.
fn question(gateway: &Gateway) -> Value {
    let mut body = asked(gateway);
    for file in body["files"].as_array_mut().into_iter().flatten() {
        file["ref_user_msg_id"].take();
    }
    for field in ["id", "chat_id", "current_user_message_id", "variables", "request_id"] {
        if let Some(value) = body.get_mut(field) {
            value.take();
        }
    }
    // One part of text is the same as the text itself.
    for message in body["messages"].as_array_mut().unwrap() {
        let content = &mut message["content"];
        let parts =
            content.as_array().filter(|parts| parts.len() == 1 && parts[0]["type"] == "text");
        if let Some(said) = parts.map(|parts| parts[0]["text"].clone()) {
            *content = said;
        }
    }
    body
}

/// A request in the words of Chat Completions, and in those of the Responses API.
type Pair = (Value, Value);

/// Those that all dialects understand, and those of the `openai` dialect.
fn pairs() -> [Vec<Pair>; 2] {
    let user = json!([{"role": "user", "content": "How?"}]);
    let ask = |chat: Value, ours: Value| {
        let (mut chats, mut response) = (
            json!({"model": "GLM-4.6", "messages": user}),
            json!({"model": "GLM-4.6", "input": "How?"}),
        );
        chats.as_object_mut().unwrap().extend(chat.as_object().unwrap().clone());
        response.as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
        (chats, response)
    };
    let both = |fields: Value| ask(fields.clone(), fields);
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let function = json!({"name": "look", "description": "d", "parameters": {"type": "object"}, "strict": true});
    let mut flat = function.clone();
    flat["type"] = json!("function");
    let pixel = "data:image/png;base64,aGk=";
    let in_all = vec![
        ask(
            json!({"model": "GLM-4.5V", "messages": [{"role": "user", "content": [
                {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": pixel}}]}]}),
            json!({"model": "GLM-4.5V", "input": [{"role": "user", "content": [
                text("What is it?"), {"type": "input_image", "image_url": pixel}]}]}),
        ),
        both(json!({})),
        both(json!({"model": "GLM-4.5-Thinking"})),
        both(json!({"model": "glm-4.5-search", "temperature": 0.3, "top_p": 0.8})),
        both(json!({"temperature": 0, "user": "somebody"})),
        ask(json!({"max_completion_tokens": 77}), json!({"max_output_tokens": 77})),
        ask(
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}]}),
            json!({"instructions": "Be brief."}),
        ),
        ask(
            json!({"messages": [{"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "How "}, {"type": "text", "text": "so?"}]},
                {"role": "assistant", "content": "So."}, {"role": "user", "content": "Why?"}]}),
            json!({"input": [{"role": "developer", "content": "Be brief."},
                {"type": "message", "role": "user", "content": [text("How "), text("so?")]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So.", "annotations": []}]},
                {"role": "user", "content": "Why?"}]}),
        ),
        ask(
            json!({"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, {"role": "user", "content": "Why?"}]}),
            json!({"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, {"role": "user", "content": "Why?"}]}),
        ),
    ];
    let image = "data:image/png;base64,AAAA";
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}});
    let called = |id: &str| json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{\"at\": 1}"});
    let gave = |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    let in_api = vec![
        ask(
            json!({"tools": [{"type": "function", "function": function}], "tool_choice": "none"}),
            json!({"tools": [flat], "tool_choice": "none"}),
        ),
        ask(
            json!({"response_format": {"type": "json_object"}}),
            json!({"text": {"format": {"type": "json_object"}}}),
        ),
        ask(
            json!({"response_format": {"type": "text"}}),
            json!({"text": {"format": {"type": "text"}}}),
        ),
        ask(
            json!({"model": "GLM-5.3", "thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
            json!({"model": "GLM-5.3", "reasoning": {"effort": "high"}}),
        ),
        ask(
            json!({"model": "GLM-4.6V", "messages": [{"role": "user",
                "content": [{"type": "file_url", "file_url": {"url": "https://example.org/a.pdf"}}]}]}),
            json!({"model": "GLM-4.6V", "input": [{"role": "user",
                "content": [{"type": "input_file", "file_url": "https://example.org/a.pdf"}]}]}),
        ),
        ask(
            json!({"model": "GLM-4.6V", "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": image, "detail": "low"}}]},
                {"role": "assistant", "reasoning_content": "Hm.", "content": "I look.", "tool_calls": [call("a"), call("b")]},
                {"role": "tool", "tool_call_id": "a", "content": "High."},
                {"role": "tool", "tool_call_id": "b", "content": "Low."},
                {"role": "assistant", "tool_calls": [call("c")]},
                {"role": "tool", "tool_call_id": "c", "content": "Gone."},
                {"role": "assistant", "content": "It is gone."},
                {"role": "user", "content": "Why?"}]}),
            json!({"model": "GLM-4.6V", "input": [
                {"role": "user", "content": [text("Look."), {"type": "input_image", "image_url": image, "detail": "low"}]},
                {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
                {"role": "assistant", "content": "I look."}, called("a"), called("b"),
                gave("a", "High."), gave("b", "Low."), called("c"), gave("c", "Gone."),
                {"role": "assistant", "content": [{"type": "output_text", "text": "It is gone."}]},
                {"role": "user", "content": "Why?"}]}),
        ),
    ];
    [in_all, in_api]
}

#[tokio::test]
async fn the_same_question_is_the_same_request_upstream() {
    let [in_all, in_api] = pairs();
    let in_web: Vec<_> = in_all.iter().map(|pair| (Dialect::ZaiWeb, web(), pair)).collect();
    let in_api = in_all.iter().chain(&in_api).map(|pair| (Dialect::OpenAi, api(), pair));
    // Of a user's own: guests may show no images.
    let token = [("UPSTREAM_TOKEN", "a-users-token-0001")];
    for (dialect, script, (chat, ours)) in in_web.into_iter().chain(in_api) {
        let gateway = Gateway::with(dialect, script.clone(), &token).await;
        let reply = gateway.post(chat).await;
        let left_out = reply.header("x-z2api-ignored").map(str::to_owned);
        assert_eq!(reply.status, 200, "{chat}");
        let of_chat = question(&gateway);
        let gateway = Gateway::with(dialect, script, &token).await;
        let reply = ask(&gateway, ours.clone()).await;
        assert_eq!(reply.status, 200, "{ours}");
        assert_eq!(reply.header("x-z2api-ignored").map(str::to_owned), left_out, "{ours}");
        assert_eq!(question(&gateway), of_chat, "{ours}");
    }
}
