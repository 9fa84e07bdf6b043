//! Errors in Anthropic's shape, which name the client's own fields.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, Reply};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{answer, ask};

#[tokio::test]
async fn errors_have_anthropics_shape() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let check = async |reply: Reply, status: u16, kind: &str, says: &str| {
        assert_eq!(reply.status, status, "{says}");
        let body = reply.json().await;
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)));
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    };
    let bad = "invalid_request_error";
    check(
        gateway.send("POST", "/v1/messages", &[], b"{}").await,
        401,
        "authentication_error",
        "key",
    )
    .await;
    check(ask(&gateway, json!({"model": "gpt-4"})).await, 404, "not_found_error", "gpt-4").await;
    check(ask(&gateway, json!({"max_tokens": null})).await, 400, bad, "max_tokens").await;
    check(ask(&gateway, json!({"mcp_servers": [{}]})).await, 400, bad, "mcp_servers").await;
    let fetch = json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]});
    check(ask(&gateway, fetch).await, 400, bad, "`tools.0`").await;
    let block = json!({"messages": [{"role": "user", "content": [{"type": "odd"}]}]});
    check(ask(&gateway, block).await, 400, bad, "messages.0.content.0").await;
    assert_eq!(gateway.sim.chat_requests(), 0, "none of these cost anything");
    let limited =
        Script::status(429, "application/json", r#"{"error":{"code":"1302","message":"busy"}}"#);
    gateway.reload(&[("MAX_RETRIES", "0")]);
    gateway.sim.set_plan(limited);
    check(ask(&gateway, json!({})).await, 429, "rate_limit_error", "busy").await;
}

#[tokio::test]
async fn an_error_names_the_field_that_the_client_sent() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let image = json!({"type": "image", "source": {"type": "url", "url": "http://x/y.png"}});
    let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [image]});
    let tool = json!({"name": "a b", "input_schema": {"type": "object"}});
    let said = |blocks: Value| {
        json!({"system": "Be brief.", "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"}, {"role": "user", "content": blocks}]})
    };
    for (fields, own) in [
        (said(json!([{"type": "text", "text": "c"}, image])), "`messages.2.content.1`"),
        (said(json!([result, {"type": "text", "text": "c"}])), "`messages.2.content.0.content.0`"),
        (said(json!([{"type": "text"}])), "`messages.2.content.0.text`"),
        (said(json!([{"type": 7}])), "`messages.2.content.0.type`"),
        (json!({"tools": [tool]}), "`tools.0.name`"),
        (json!({"tools": [{"name": "f", "input_schema": []}]}), "`tools.0.input_schema`"),
        (json!({"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}), "`tool_choice`"),
        (json!({"stop_sequences": ["a", ""]}), "`stop_sequences.1`"),
        (json!({"stop_sequences": vec!["a"; 257]}), "`stop_sequences`"),
        (json!({"output_format": {"type": "json_schema", "schema": {}}}), "`output_format`"),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
            "`output_config.format`",
        ),
        (
            json!({"output_config": {"format": {"type": "json_schema"}}}),
            "output_config.format.schema",
        ),
        (json!({"tool_choice": {"type": "tool"}}), "`tool_choice.name`"),
        (json!({"tool_choice": {"type": "odd"}}), "`tool_choice.type`"),
        (json!({"container": "c"}), "`container`"),
        (json!({"thread": {"type": "create"}}), "`thread`"),
        (json!({"compaction": {"type": "summarize"}}), "`compaction`"),
        (json!({"system": 5}), "`system` must be a string or an array of text blocks"),
        (json!({"inference_geo": "us"}), "`inference_geo`"),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "`messages.1`",
        ),
        (json!({"temperature": 3}), "`temperature`"),
        (json!({"max_tokens": 0}), "`max_tokens`"),
    ] {
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.status, 400, "{own}");
        let body = reply.json().await;
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(own), "{own} in {message}");
    }
    let web = Gateway::start(Dialect::ZaiWeb, answer("Hi")).await;
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    for (blocks, own) in
        [(json!([call]), "`messages.0.content.0`"), (json!([result]), "`messages.0.content.0")]
    {
        let role = if blocks[0]["type"] == "tool_use" { "assistant" } else { "user" };
        let turns = json!([{"role": role, "content": blocks}, {"role": "user", "content": "a"}]);
        let body = ask(&web, json!({"messages": turns})).await.json().await;
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(own), "{own} in {message}");
    }
    assert_eq!(gateway.sim.chat_requests() + web.sim.chat_requests(), 0);
}

#[tokio::test]
async fn all_that_asks_at_messages_is_answered_in_anthropics_shape() {
    let gateway = Gateway::with(Dialect::OpenAi, answer("Hi"), &[("MAX_BODY_MB", "1")]).await;
    let check = async |reply: Reply, status: u16, kind: &str, says: &str| {
        assert_eq!(reply.status, status, "{says}");
        let id = reply.header("request-id").expect("an id").to_owned();
        let body = reply.json().await;
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)));
        assert_eq!(body["request_id"], id.as_str());
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{says} in {message}");
    };
    let bad = "invalid_request_error";
    let key = [("x-api-key", KEY)];
    let panics = [("x-api-key", KEY), ("x-test-panic", "handler")];
    let good = json!({"model": "GLM-4.6", "max_tokens": 9, "messages": [
        {"role": "user", "content": "x"}]})
    .to_string();
    let large = vec![b' '; 1024 * 1024 + 1];
    for path in ["/v1/messages", "/messages", "/v1/messages/count_tokens"] {
        check(gateway.send("GET", path, &key, b"").await, 405, bad, "POST").await;
        let stranger = gateway.send("POST", path, &[], b"{}").await;
        check(stranger, 401, "authentication_error", "x-api-key: YOUR_KEY").await;
        let wrong = gateway.send("POST", path, &[("x-api-key", "wrong")], b"{}").await;
        check(wrong, 401, "authentication_error", "x-api-key: YOUR_KEY").await;
        check(gateway.send("POST", path, &key, b"{").await, 400, bad, "request body").await;
        let large = gateway.send("POST", path, &key, &large).await;
        check(large, 413, "request_too_large", "MAX_BODY_MB").await;
    }
    let unknown = gateway.send("POST", "/v1/messages/batches", &key, b"{}").await;
    check(unknown, 404, "not_found_error", "nothing at this path").await;
    let version = [("anthropic-version", "2023-06-01"), ("x-api-key", KEY)];
    check(gateway.send("GET", "/v1/files", &version, b"").await, 404, "not_found_error", "files")
        .await;
    let panicked = gateway.send("POST", "/v1/messages", &panics, good.as_bytes()).await;
    check(panicked, 500, "api_error", "within the gateway").await;
}

/// By which the packages' runners of tools know to send the whole conversation.
#[tokio::test]
async fn that_no_threads_are_kept_is_told_to_programs_too() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    for thread in
        [json!({"type": "create"}), json!({"type": "continue", "previous_message_id": "msg_1"})]
    {
        let body = ask(&gateway, json!({"thread": thread})).await.json().await;
        assert_eq!(body["error"]["details"], json!({"error_code": "thread_unsupported_request"}));
    }
    let other = ask(&gateway, json!({"container": "c"})).await.json().await;
    assert_eq!(other["error"].get("details"), None);
    assert_eq!(ask(&gateway, json!({"thread": null})).await.status, 200);
    assert_eq!(gateway.sim.chat_requests(), 1);
}

#[tokio::test]
async fn an_error_within_a_stream_names_its_request() {
    let half = Script::events([r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#]);
    let gateway = Gateway::start(Dialect::OpenAi, half.cut_after(1)).await;
    let reply = ask(&gateway, json!({"stream": true})).await;
    let id = reply.header("request-id").unwrap().to_owned();
    let last: Value = serde_json::from_str(reply.events().await.last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["request_id"]), (&json!("error"), &json!(id)));
    assert_eq!(last["error"]["type"], "api_error");
}
