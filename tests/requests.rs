//! What the upstream is asked.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::{Recorded, Script, faults, plan_fn};
use z2api_wire::event::Dialect;

fn web() -> Script {
    Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"fine","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ])
}

fn api() -> Script {
    Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

async fn asked(dialect: Dialect, body: Value) -> Recorded {
    let plan = match dialect {
        Dialect::ZaiWeb => web(),
        Dialect::OpenAi => api(),
    };
    let gateway = Gateway::start(dialect, plan).await;
    let reply = gateway.post(&body).await;
    assert_eq!(reply.status, 200);
    reply.text().await;
    gateway.sim.chats().remove(0)
}

fn ask(model: &str, fields: Value) -> Value {
    let mut body = json!({"model": model, "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "How do "}, {"type": "text", "text": "tides work?"}]},
    ]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn the_web_chat_is_asked_as_its_page_asks_but_under_our_own_name() {
    let fields = json!({"temperature": 0.3, "top_p": 0.8, "max_tokens": 5,
        "max_completion_tokens": 77, "stop": ["END", "FIN"], "user": "somebody"});
    let request = asked(Dialect::ZaiWeb, ask("GLM-4.5", fields)).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/chat/completions"));
    let body = request.json();
    let chat_id = body["chat_id"].as_str().unwrap();
    let origin = request.header("origin").unwrap().to_owned();
    assert!(origin.starts_with("http://127.0.0.1:"));
    assert_eq!(request.header("referer"), Some(format!("{origin}/c/{chat_id}").as_str()));
    assert!(request.header("user-agent").unwrap().starts_with("z2api/"));
    assert_eq!(request.header("x-fe-version"), Some("prod-fe-1.0.70"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(request.header("authorization").unwrap().starts_with("Bearer "));
    assert!(is_uuid(chat_id) && is_uuid(body["id"].as_str().unwrap()));
    assert_ne!(body["chat_id"], body["id"]);
    assert_eq!((&body["stream"], &body["model"]), (&json!(true), &json!("0727-360B-API")));
    let params =
        json!({"temperature": 0.3, "top_p": 0.8, "max_tokens": 77, "stop": ["END", "FIN"]});
    assert_eq!(body["params"], params);
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Be brief."}));
    let text: String = match &body["messages"][1]["content"] {
        Value::String(text) => text.clone(),
        parts => {
            parts.as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap()).collect()
        }
    };
    assert_eq!(text, "How do tides work?");
    assert_eq!((&body["mcp_servers"], &body["tool_servers"]), (&json!([]), &json!([])));
    let jobs = json!({"title_generation": false, "tags_generation": false});
    assert_eq!(body["background_tasks"], jobs);
    assert!(body["variables"]["{{CURRENT_DATETIME}}"].is_string());
    let sent = format!("{:?} {body}", request.headers);
    assert!(!sent.contains(KEY) && !sent.contains("somebody"), "nothing of the client's");
}

#[tokio::test]
async fn the_variants_of_a_model_think_and_search() {
    for (model, thinking, search, servers) in [
        ("GLM-4.5", false, false, json!([])),
        ("GLM-4.5-Thinking", true, false, json!([])),
        ("glm-4.5-search", true, true, json!(["deep-web-search"])),
    ] {
        let body = asked(Dialect::ZaiWeb, ask(model, json!({}))).await.json();
        let features = json!({"enable_thinking": thinking, "web_search": search,
            "auto_web_search": search, "image_generation": false, "preview_mode": false});
        assert_eq!((&body["features"], &body["mcp_servers"]), (&features, &servers), "{model}");
        let body = asked(Dialect::OpenAi, ask(model, json!({}))).await.json();
        let kind = if thinking { "enabled" } else { "disabled" };
        assert_eq!((&body["model"], &body["thinking"]["type"]), (&json!("glm-4.5"), &json!(kind)));
    }
}

#[tokio::test]
async fn the_official_api_is_asked_for_a_stream_whatever_the_client_wants() {
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let fields = json!({"stream": false, "tools": tools, "tool_choice": "auto", "temperature": 0.1,
        "response_format": {"type": "json_object"}, "user": "somebody"});
    let request = asked(Dialect::OpenAi, ask("GLM-4.6-Thinking", fields)).await;
    assert_eq!(request.header("authorization"), Some("Bearer upstream-token-0001"));
    let body = request.json();
    assert_eq!((&body["stream"], &body["model"]), (&json!(true), &json!("glm-4.6")));
    assert_eq!((&body["tools"], &body["tool_choice"]), (&tools, &json!("auto")));
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert_eq!((&body["temperature"], &body["user_id"]), (&json!(0.1), &json!("somebody")));
    assert_eq!(body["messages"][0]["role"], "system");
}

#[tokio::test]
async fn each_request_has_ids_of_its_own_and_one_guest_serves_all() {
    let gateway = Gateway::start(Dialect::ZaiWeb, web()).await;
    let asking = (0..8).map(|_| gateway.chat("GLM-4.5", json!({})));
    for reply in futures::future::join_all(asking).await {
        assert_eq!(reply.status, 200);
    }
    assert_eq!(gateway.sim.guest_requests(), 1);
    let ids: std::collections::BTreeSet<String> =
        gateway.sim.chats().iter().map(|chat| chat.json()["chat_id"].to_string()).collect();
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn a_guest_that_is_refused_is_replaced() {
    let gateway = Gateway::with(Dialect::ZaiWeb, web(), &[("MAX_RETRIES", "0")]).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    gateway.sim.revoke_guests();
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    assert_eq!(gateway.sim.guest_requests(), 2);
    let bearers: Vec<_> = gateway
        .sim
        .chats()
        .iter()
        .map(|chat| chat.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(bearers[0], bearers[1]);
    assert_ne!(bearers[1], bearers[2]);
}

#[tokio::test]
async fn a_token_of_ones_own_wins_over_guests_and_its_refusal_is_not_the_clients() {
    let refuse = plan_fn(|_: &Recorded| faults::detail(401, "expired"));
    let variables = [("UPSTREAM_TOKEN", "my-own-token-0123456789")];
    let gateway = Gateway::with(Dialect::ZaiWeb, refuse, &variables).await;
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(reply.status, 502, "the client's key is fine");
    let text = reply.text().await;
    assert!(text.contains("UPSTREAM_TOKEN") && !text.contains("my-own-token"), "{text}");
    assert_eq!(gateway.sim.guest_requests(), 0);
    assert!(gateway.log.lines().iter().all(|line| !line.contains("my-own-token")));
}

fn with_image() -> Value {
    json!({"model": "GLM-4.5V", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]}]})
}

#[tokio::test]
async fn an_image_goes_ahead_as_a_users_file_in_the_web_dialect() {
    let token = [("UPSTREAM_TOKEN", "a-users-token-0001")];
    let gateway = Gateway::with(Dialect::ZaiWeb, web(), &token).await;
    assert_eq!(gateway.post(&with_image()).await.status, 200);
    let [file, chat] = <[Recorded; 2]>::try_from(gateway.sim.requests()).unwrap();
    assert_eq!((file.method.as_str(), file.path.as_str()), ("POST", "/api/v1/files/"));
    assert_eq!(chat.json()["files"][0]["id"], "sim-file-0001");
    let parts = &chat.json()["messages"][0]["content"];
    assert_eq!(parts[1]["image_url"]["url"], "sim-file-0001");
}

#[tokio::test]
async fn a_guests_image_is_a_400_that_tells_what_is_missing() {
    let gateway = Gateway::start(Dialect::ZaiWeb, web()).await;
    let reply = gateway.post(&with_image()).await;
    assert_eq!(reply.status, 400);
    let error = reply.json().await["error"].clone();
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["message"].as_str().unwrap().contains("a user's token is needed"), "{error}");
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn hints_that_were_left_out_are_named_on_streams_and_whole_answers() {
    let gateway = Gateway::start(Dialect::OpenAi, api()).await;
    for stream in [true, false] {
        let fields = json!({"stream": stream, "seed": 7, "store": true, "metadata": {"a": "b"},
            "of_some_other_api": {"x": 1}});
        let reply = gateway.chat("GLM-4.5", fields).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-z2api-ignored"), Some("metadata, seed, store"));
        reply.text().await;
        let plain = gateway.chat("GLM-4.5", json!({"stream": stream, "temperature": 0.2})).await;
        assert_eq!((plain.status, plain.header("x-z2api-ignored")), (200, None));
    }
    for chat in gateway.sim.chats() {
        let body = chat.json();
        assert!(
            ["seed", "store", "metadata"].iter().all(|name| body.get(name).is_none()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_agents_whole_conversation_arrives_as_it_was_sent() {
    let call = json!({"id": "call_a", "type": "function",
        "function": {"name": "look", "arguments": "{\"at\": \"tides\"}"}});
    let turns = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}]},
        {"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_a", "content": [{"type": "text", "text": "High."}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "Why?"},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "look", "description": "d",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}, "strict": false}}]);
    let body =
        json!({"model": "GLM-4.6V", "messages": turns, "tools": tools, "tool_choice": "auto"});
    let sent = asked(Dialect::OpenAi, body).await.json();
    let mut expected = turns.clone();
    expected[0]["role"] = json!("system");
    expected[2].as_object_mut().unwrap().remove("content");
    expected[4]["content"] = json!([{"type": "text", "text": "No."}]);
    assert_eq!(sent["messages"], expected);
    assert_eq!((&sent["tools"], &sent["tool_choice"]), (&tools, &json!("auto")));
}
