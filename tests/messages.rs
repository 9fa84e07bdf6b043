//! Anthropic's Messages API over the same path: the same words, usage and errors as in Chat
//! Completions, for every stream of `tests/streams`.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, KEY, Reply, cases};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    let headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
    gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
}

async fn ask(gateway: &Gateway, fields: Value) -> Reply {
    let mut body = json!({"model": "GLM-4.6", "max_tokens": 100,
        "messages": [{"role": "user", "content": "How do tides work?"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    post(gateway, "/v1/messages", &body).await
}

/// What a client puts together from the events, as a message; or the error that ended it.
fn gather(events: &[String]) -> Result<Value, Value> {
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    assert_eq!(events[0]["type"], "message_start", "{events:?}");
    let mut message = events[0]["message"].clone();
    let mut open: Option<(Value, String)> = None;
    let mut ended = false;
    for event in &events[1..] {
        assert!(!ended, "nothing follows the end: {event}");
        match event["type"].as_str().unwrap() {
            "ping" => {}
            "content_block_start" => {
                assert!(open.is_none(), "one block at a time: {event}");
                assert_eq!(event["index"], message["content"].as_array().unwrap().len());
                open = Some((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                let (block, json) = open.as_mut().expect("an open block");
                let delta = &event["delta"];
                let field = match delta["type"].as_str().unwrap() {
                    "text_delta" => "text",
                    "thinking_delta" => "thinking",
                    "signature_delta" => "signature",
                    "input_json_delta" => {
                        *json += delta["partial_json"].as_str().unwrap();
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let text = block[field].as_str().unwrap().to_owned();
                block[field] = (text + delta[field].as_str().unwrap()).into();
            }
            "content_block_stop" => {
                let (mut block, json) = open.take().expect("an open block");
                if !json.is_empty() {
                    block["input"] = serde_json::from_str(&json).unwrap_or(Value::String(json));
                }
                message["content"].as_array_mut().unwrap().push(block);
            }
            "message_delta" => {
                assert!(open.is_none());
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => ended = true,
            "error" => return Err(event["error"].clone()),
            other => panic!("{other}"),
        }
    }
    assert!(ended, "neither an end nor an error: {events:?}");
    Ok(message)
}

/// The message that a case means.
fn check_meaning(message: &Value, case: &Case, name: &str) {
    let blocks = |kind: &str| {
        let all = message["content"].as_array().unwrap().iter();
        all.filter(|block| block["type"] == kind).cloned().collect::<Vec<_>>()
    };
    let text = |kind: &str| {
        blocks(kind).iter().map(|b| b[kind].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(text("thinking"), case.reasoning(ThinkMode::Reasoning), "{name}");
    assert_eq!(text("text"), case.content(ThinkMode::Reasoning).unwrap(), "{name}");
    let calls = blocks("tool_use");
    assert_eq!(calls.len(), case.tool_calls.len(), "{name}");
    for (call, meant) in calls.iter().zip(&case.tool_calls) {
        assert_eq!((&call["id"], &call["name"]), (&json!(meant.id), &json!(meant.name)));
        assert_eq!(call["input"], serde_json::from_str::<Value>(&meant.arguments).unwrap());
    }
    if let Some(usage) = &case.usage {
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0);
        let input = usage["prompt_tokens"].as_u64().unwrap() - cached;
        assert_eq!(message["usage"]["input_tokens"], input, "{name}");
        assert_eq!(message["usage"]["output_tokens"], usage["completion_tokens"], "{name}");
    }
}

async fn check(gateway: &Gateway, case: &Case, how: &str) {
    let name = format!("{}, {how}", case.name);
    let streamed = ask(gateway, json!({"stream": true})).await;
    let whole = ask(gateway, json!({})).await;
    if streamed.status != 200 {
        assert_eq!(streamed.status, whole.status, "{name}");
        assert!(!matches!(case.ends, Ends::Finish(_)), "{name}");
        let error = streamed.json().await;
        assert_eq!(error["type"], "error", "{name}");
        assert!(error["error"]["message"].is_string(), "{name}");
        return;
    }
    let heard = gather(&streamed.events().await);
    match &case.ends {
        Ends::Finish(reason) => {
            let heard = heard.unwrap_or_else(|error| panic!("{name}: {error}"));
            let words = [
                ("stop", "end_turn"),
                ("length", "max_tokens"),
                ("tool_calls", "tool_use"),
                ("content_filter", "refusal"),
            ];
            let (_, expected) = words.iter().find(|(openai, _)| openai == reason).unwrap();
            assert_eq!(heard["stop_reason"], *expected, "{name}");
            check_meaning(&heard, case, &name);
            let mut whole = whole.json().await;
            whole["id"] = heard["id"].clone();
            assert_eq!(whole, heard, "{name}: streamed and whole are the same message");
        }
        Ends::Truncated | Ends::Error(_) => {
            assert_eq!(heard.expect_err(&name)["type"], "api_error", "{name}");
            assert_eq!(whole.status, 502, "{name}: no part may look whole");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_arrives_as_it_is_meant() {
    for case in cases() {
        let gateway = Gateway::with(case.dialect, Script::sse(""), &[("MAX_RETRIES", "0")]).await;
        let script = Script::sse(case.bytes.clone());
        gateway.sim.set_plan(script.clone());
        check(&gateway, &case, "written at once").await;
        gateway.sim.set_plan(script.clone().event_by_event());
        check(&gateway, &case, "event by event").await;
        gateway.sim.set_plan(script.pieces_of(1));
        check(&gateway, &case, "a byte at a time").await;
    }
}

fn openai_events(deltas: &[Value], finish: &str) -> Script {
    let chunk = |delta: &Value, finish: Option<&str>| {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
    };
    let mut events: Vec<String> = deltas.iter().map(|delta| chunk(delta, None)).collect();
    events.push(chunk(&json!({}), Some(finish)));
    events.push("[DONE]".to_owned());
    Script::events(events)
}

fn answer(text: &str) -> Script {
    openai_events(&[json!({"content": text})], "stop")
}

#[tokio::test]
async fn the_events_are_anthropics_to_the_letter() {
    let script = openai_events(
        &[
            json!({"reasoning_content": "Hm,"}),
            json!({"reasoning_content": " yes."}),
            json!({"content": "It is \"so\"."}),
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                "function": {"name": "look", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "call_2", "type": "function",
                "function": {"name": "hear", "arguments": "{}"}}]}),
        ],
        "tool_calls",
    );
    let gateway = Gateway::start(Dialect::OpenAi, script.event_by_event()).await;
    let reply = ask(&gateway, json!({"stream": true, "model": "claude-sonnet-4-5"})).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    assert!(reply.header("request-id").is_some());
    let text = reply.text().await;
    let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(id.starts_with("msg_"), "{id}");
    let expected = r#"event: message_start
data: {"type":"message_start","message":{"id":"ID","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm,"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" yes."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"z2api"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"It is \"so\"."}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_1","name":"look","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"call_2","name":"hear","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":0,"output_tokens":0}}

event: message_stop
data: {"type":"message_stop"}

"#;
    assert_eq!(text.replace(&id, "ID"), expected);
}

#[tokio::test]
async fn a_request_is_asked_upstream_with_everything_in_it() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let reply = ask(
        &gateway,
        json!({
            "model": "claude-opus-4-1",
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "temperature": 0.5, "top_k": 3, "metadata": {"user_id": "user-12345"},
            "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto"},
            "messages": [
                {"role": "user", "content": "Look at it."},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "I look.", "signature": "x"},
                    {"type": "text", "text": "I will."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "is_error": true,
                     "content": [{"type": "text", "text": "nothing"}, {"type": "text", "text": "there"}]},
                    {"type": "text", "text": "And now?"}]}
            ],
        }),
    )
    .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-z2api-ignored"), Some("top_k"));
    let asked = gateway.sim.chats()[0].json();
    assert_eq!(asked["model"], "glm-4.7");
    assert_eq!(asked["thinking"]["type"], "enabled");
    assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(100), &json!(0.5)));
    assert_eq!(asked["tools"][0]["function"]["parameters"], json!({"type": "object"}));
    let messages = asked["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert!(messages[0]["content"].to_string().contains("Be brief."));
    assert_eq!(messages[2]["reasoning_content"], "I look.");
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], r#"{"at":"it"}"#);
    assert_eq!(messages[3]["tool_call_id"], "t1");
    assert_eq!(messages[3]["content"], "Error: nothing\nthere");
    assert!(messages[4]["content"].to_string().contains("And now?"));
}

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
    let search = json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    check(ask(&gateway, search).await, 400, bad, "-Search").await;
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
        (json!({"stop_sequences": [""]}), "`stop_sequences`"),
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
        let body =
            ask(&web, json!({"messages": [{"role": role, "content": blocks}]})).await.json().await;
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(own), "{own} in {message}");
    }
    assert_eq!(gateway.sim.chat_requests() + web.sim.chat_requests(), 0);
}

#[tokio::test]
async fn a_stop_sequence_is_named() {
    let script = answer("one END two");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for stream in [true, false] {
        let fields = json!({"stream": stream, "stop_sequences": ["END", "X"]});
        let reply = ask(&gateway, fields).await;
        let message =
            if stream { gather(&reply.events().await).unwrap() } else { reply.json().await };
        assert_eq!(message["stop_reason"], "stop_sequence");
        assert_eq!(message["stop_sequence"], "END");
        assert_eq!(message["content"][0]["text"], "one ");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_an_error_and_no_message() {
    let call = |index: u32, arguments: &str| {
        json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function",
            "function": {"name": "look", "arguments": arguments}}]})
    };
    let torn = openai_events(&[call(0, "{\"a\":")], "tool_calls");
    let gateway = Gateway::start(Dialect::OpenAi, torn).await;
    assert_eq!(ask(&gateway, json!({})).await.status, 502, "arguments that are no JSON");
    let heard = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    assert_eq!(heard.unwrap_err()["type"], "api_error", "nor in a stream");
    gateway.sim.set_plan(openai_events(&[call(0, "{\"a\":")], "length"));
    let cut = ask(&gateway, json!({})).await.json().await;
    assert_eq!((&cut["stop_reason"], &cut["content"]), (&json!("max_tokens"), &json!([])));
    let mixed = openai_events(&[call(0, "{"), call(1, "{}"), call(0, "}")], "tool_calls");
    gateway.sim.set_plan(mixed);
    let heard = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    assert_eq!(heard.unwrap_err()["type"], "api_error", "a call that was closed goes on");
}

#[tokio::test]
async fn thinking_can_be_switched_and_stripped() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for (field, expected) in [("disabled", "disabled"), ("adaptive", "enabled")] {
        ask(&gateway, json!({"thinking": {"type": field}})).await.text().await;
        let asked = gateway.sim.chats().pop().unwrap().json();
        assert_eq!(asked["thinking"]["type"], expected);
    }
    gateway.reload(&[("THINK_TAGS_MODE", "strip")]);
    let thinking =
        openai_events(&[json!({"reasoning_content": "R"}), json!({"content": "A"})], "stop");
    gateway.sim.set_plan(thinking);
    let message = ask(&gateway, json!({})).await.json().await;
    assert_eq!(message["content"], json!([{"type": "text", "text": "A"}]));
}

#[tokio::test]
async fn tokens_are_estimated_without_asking_anybody() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let body = json!({"model": "GLM-4.6", "messages": [{"role": "user", "content": "12345678"}]});
    let reply = post(&gateway, "/v1/messages/count_tokens", &body).await;
    assert_eq!(reply.header("x-z2api-estimate"), Some("true"));
    assert_eq!(reply.json().await, json!({"input_tokens": 6}));
    assert_eq!(gateway.sim.chat_requests(), 0);
    let refused = gateway.send("POST", "/v1/messages/count_tokens", &[], b"{}").await;
    assert_eq!(refused.status, 401);
}
