//! Anthropic's Messages API over the same path: the same words, usage and errors as in Chat
//! Completions, for every stream of `tests/streams`.

use serde_json::{Value, json};
use z2api_config::keygen;
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, KEY, Reply, cases};
use z2api_upstream_sim::{Script, Sim};
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
    assert_eq!(message["usage"].get("estimated").is_some(), case.usage.is_none(), "{name}");
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
data: {"type":"message_start","message":{"id":"ID","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":0}}}

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
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":9,"output_tokens":9,"estimated":true}}

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
    assert_eq!(
        reply.header("x-z2api-ignored"),
        Some("cache_control, thinking.budget_tokens, top_k")
    );
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
async fn a_stop_sequence_is_named_and_the_upstream_is_not_told_it() {
    let script = answer("one END two").event_by_event();
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for stream in [true, false] {
        for (words, met) in [(vec!["END", "X"], "END"), (vec!["one END two"], "one END two")] {
            let fields = json!({"stream": stream, "stop_sequences": words});
            let message = message_of(ask(&gateway, fields).await, stream).await;
            assert_eq!(message["stop_reason"], "stop_sequence");
            assert_eq!(message["stop_sequence"], met);
            let text = if met == "END" { json!("one ") } else { Value::Null };
            assert_eq!(message["content"][0]["text"], text);
        }
        let many: Vec<String> = (0..200).map(|n| format!("<{n}>")).collect();
        let fields = json!({"stream": stream, "stop_sequences": many});
        let message = message_of(ask(&gateway, fields).await, stream).await;
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("end_turn"), &Value::Null)
        );
    }
    assert!(gateway.sim.chats().iter().all(|chat| chat.json().get("stop").is_none()));
}

async fn message_of(reply: Reply, stream: bool) -> Value {
    assert_eq!(reply.status, 200);
    if stream { gather(&reply.events().await).expect("a message") } else { reply.json().await }
}

#[tokio::test]
async fn usage_is_the_upstreams_or_says_that_it_is_estimated() {
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 3}});
    let chunk = |text: &str, usage: &Value| {
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}],
            "usage": usage})
        .to_string()
    };
    let told = json!({"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 3}});
    let estimated = json!({"input_tokens": 9, "output_tokens": 2, "estimated": true});
    let known = Script::events([chunk("12345678 END", &usage), "[DONE]".to_owned()]);
    let unknown = Script::events([chunk("12345678", &Value::Null), "[DONE]".to_owned()]);
    // The stop word comes before the upstream has counted.
    let cut = Script::events([chunk("12345678END", &Value::Null), chunk("", &usage)]);
    let gateway = Gateway::start(Dialect::OpenAi, unknown.clone()).await;
    for stream in [true, false] {
        for (script, expected) in [(&known, &told), (&unknown, &estimated), (&cut, &estimated)] {
            gateway.sim.set_plan(script.clone());
            let words = if std::ptr::eq(script, &cut) { json!(["END"]) } else { json!([]) };
            let reply = ask(&gateway, json!({"stream": stream, "stop_sequences": words})).await;
            let header = stream.then_some("message_start.message.usage.input_tokens");
            assert_eq!(reply.header("x-z2api-estimate"), header);
            assert_eq!(message_of(reply, stream).await["usage"], *expected);
        }
    }
}

#[tokio::test]
async fn what_is_a_hint_here_is_named_by_its_own_name() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let document = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "data": "x"}});
    let fields = json!({
        "model": "GLM-4.6",
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true,
            "input_examples": [{}]}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "service_tier": "standard_only", "speed": "fast", "metadata": {"user_id": "me"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "diagnostics": {}, "user_profile_id": "u",
        "output_config": {"effort": "high"}, "cache_control": {"type": "ephemeral"},
        "messages": [{"role": "user", "content": [document]}],
    });
    for stream in [true, false] {
        let mut fields = fields.clone();
        fields["stream"] = stream.into();
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("x-z2api-ignored"),
            Some(
                "cache_control, citations, context_management, diagnostics, speed, \
                 thinking.budget_tokens, tools.defer_loading, tools.input_examples, \
                 user_profile_id, tool_choice.disable_parallel_tool_use, output_config.effort, \
                 service_tier, metadata.user_id"
            )
        );
        reply.text().await;
    }
    let nothing = json!({"service_tier": "auto", "speed": "standard", "inference_geo": "global",
        "thinking": {"type": "adaptive"}, "tool_choice": {"type": "auto"}, "mcp_servers": [],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "container": null, "metadata": {"user_id": "longer"}, "stop_sequences": [], "system": [],
        "some_new_field": 1});
    assert_eq!(ask(&gateway, nothing).await.header("x-z2api-ignored"), None);
}

#[tokio::test]
async fn a_schema_is_sent_to_a_server_that_keeps_to_one() {
    let server = Sim::start(answer("{}")).await.unwrap();
    let url = server.openai_url().replace("/paas/", "/other/");
    let gateway = Gateway::with(Dialect::OpenAi, answer(""), &[("UPSTREAM_URL", &url)]).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "schema": schema});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        assert_eq!(ask(&gateway, fields).await.status, 200);
        let asked = server.chats().pop().unwrap().json();
        assert_eq!(asked["response_format"]["type"], "json_schema");
        assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
    }
}

#[tokio::test]
async fn the_search_tool_is_the_upstreams_search() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    let look = json!({"name": "look", "input_schema": {"type": "object"}});
    let chosen = json!({"type": "tool", "name": "web_search"});
    for fields in [
        json!({"tools": [search]}),
        json!({"tools": [search], "tool_choice": chosen}),
        json!({"tools": [search], "tool_choice": {"type": "any"}}),
        json!({"tools": [search, look], "tool_choice": {"type": "auto"}}),
    ] {
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.header("x-z2api-ignored"), Some("tools.max_uses"));
        let asked = gateway.sim.chats().pop().unwrap().json();
        let kinds = asked["tools"].as_array().unwrap().iter().map(|tool| &tool["type"]);
        assert!(kinds.into_iter().any(|kind| kind == "web_search"), "{asked}");
    }
    let mut within = search.clone();
    within["allowed_domains"] = json!(["example.org"]);
    let bad = json!({"name": "a b", "input_schema": {"type": "object"}});
    for (fields, own) in [
        (json!({"tools": [look, within]}), "`tools.1.allowed_domains`"),
        (json!({"tools": [search], "model": "GLM-4.5V"}), "`tools`"),
        (json!({"tools": [search, bad]}), "`tools.1.name`"),
    ] {
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.status, 400, "{own}");
        let text = reply.text().await;
        assert!(text.contains(own), "{own} in {text}");
    }
    let web = Gateway::start(Dialect::ZaiWeb, answer("Hi")).await;
    ask(&web, json!({"tools": [search]})).await;
    assert_eq!(web.sim.chats()[0].json()["features"]["web_search"], true);
}

#[tokio::test]
async fn documents_of_text_and_search_results_are_read() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let plain = json!({"type": "document", "title": "Tides", "context": "A book.",
        "source": {"type": "text", "data": "High at noon."}});
    let parts = json!({"type": "document", "source": {"type": "content", "content": [
        {"type": "text", "text": "Low at six."}]}});
    let found = json!({"type": "search_result", "source": "https://example.org", "title": "Found",
        "content": [{"type": "text", "text": "Noon."}]});
    let result =
        json!({"type": "tool_result", "tool_use_id": "t", "content": [plain, parts, found]});
    let call = json!({"type": "tool_use", "id": "t", "name": "read", "input": {}});
    let body = json!({"messages": [{"role": "user", "content": [plain, found]},
        {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]});
    assert_eq!(ask(&gateway, body).await.status, 200);
    let messages = gateway.sim.chats()[0].json()["messages"].clone();
    let text = |message: &Value| {
        let parts = message["content"].as_array().unwrap();
        parts.iter().map(|part| part["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(
        text(&messages[0]),
        "Tides\nA book.\nHigh at noon.Found\nhttps://example.org\nNoon."
    );
    let given = messages[2]["content"].as_str().unwrap();
    for words in ["Tides", "A book.", "High at noon.", "Low at six.", "Found", "Noon."] {
        assert!(given.contains(words), "{words} in {given}");
    }
    let pdf = json!({"type": "document", "source":
        {"type": "base64", "media_type": "application/pdf", "data": "AA=="}});
    let reply = ask(&gateway, json!({"messages": [{"role": "user", "content": [pdf]}]})).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().await.contains("`messages.0.content.0.source`"));
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
    let thinking =
        openai_events(&[json!({"reasoning_content": "R"}), json!({"content": "A"})], "stop");
    gateway.sim.set_plan(thinking);
    gateway.reload(&[("THINK_TAGS_MODE", "strip")]);
    let message = ask(&gateway, json!({})).await.json().await;
    assert_eq!(message["content"], json!([{"type": "text", "text": "A"}]));
}

#[tokio::test]
async fn thinking_that_is_not_shown_comes_back_with_the_conversation() {
    let script = openai_events(
        &[json!({"reasoning_content": "Hm, \"天\""}), json!({"content": "A"})],
        "stop",
    );
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let keep = json!({"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]});
    for kind in ["adaptive", "enabled"] {
        for stream in [true, false] {
            let fields = json!({"stream": stream, "context_management": keep,
                "thinking": {"type": kind, "display": "omitted"}});
            let reply = ask(&gateway, fields.clone()).await;
            assert_eq!(reply.header("x-z2api-ignored"), None);
            let message = message_of(reply, stream).await;
            let thought = &message["content"][0];
            assert_eq!((&thought["type"], &thought["thinking"]), (&json!("thinking"), &json!("")));
            assert_eq!(message["content"][1], json!({"type": "text", "text": "A"}));
            assert!(!message.to_string().contains("Hm"), "{message}");
            let mut next = fields;
            next["messages"] = json!([{"role": "user", "content": "a"},
                {"role": "assistant", "content": message["content"]},
                {"role": "user", "content": "b"}]);
            message_of(ask(&gateway, next.clone()).await, stream).await;
            let asked = gateway.sim.chats().pop().unwrap().json();
            assert_eq!(asked["messages"][1]["reasoning_content"], "Hm, \"天\"");
            assert_eq!(asked["thinking"], json!({"type": "enabled", "clear_thinking": false}));
            let signature = thought["signature"].as_str().unwrap();
            next["messages"][1]["content"][0]["signature"] =
                signature[..signature.len() - 3].into();
            let damaged = ask(&gateway, next.clone()).await;
            assert_eq!(damaged.status, 400);
            assert!(damaged.text().await.contains("`messages.1.content.0.signature`"));
            // That of somebody else says nothing here.
            next["messages"][1]["content"][0]["signature"] = "EqQBCkYIARgC".into();
            message_of(ask(&gateway, next).await, stream).await;
            let asked = gateway.sim.chats().pop().unwrap().json();
            assert_eq!(asked["messages"][1].get("reasoning_content"), None);
        }
    }
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
    let document = json!({"type": "document", "source": {"type": "text", "data": "12345678"}});
    let body = json!({"model": "GLM-4.6", "messages": [{"role": "user", "content": [document]}]});
    let reply = post(&gateway, "/v1/messages/count_tokens", &body).await;
    assert_eq!(reply.json().await, json!({"input_tokens": 6}), "a document of text is its text");
}

#[tokio::test]
async fn tokens_are_counted_for_models_that_the_key_may_ask_only() {
    let (key, line) = keygen("ann").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{line} models=GLM-4.5-Air per_minute=7\n")).unwrap();
    let variables = [("API_KEYS_FILE", file.path().to_str().unwrap())];
    let gateway = Gateway::with(Dialect::OpenAi, answer("Hi"), &variables).await;
    let headers = [("x-api-key", key.expose())];
    let send = async |path: &str, model: &str| {
        let body = json!({"model": model, "max_tokens": 9, "messages": [
            {"role": "user", "content": "x"}]});
        gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
    };
    for (model, status) in [("GLM-4.6", 404), ("GLM-4.5-Air", 200)] {
        assert_eq!(send("/v1/messages/count_tokens", model).await.status, status, "{model}");
    }
    // The key's own rate is the one that is told.
    for left in (0..7).rev() {
        let reply = send("/v1/messages", "GLM-4.5-Air").await;
        assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), Some("7"));
        let told = reply.header("anthropic-ratelimit-requests-remaining");
        assert_eq!(told, Some(left.to_string().as_str()));
        assert!(reply.header("anthropic-ratelimit-requests-reset").unwrap().ends_with('Z'));
    }
    let over = send("/v1/messages", "GLM-4.5-Air").await;
    assert_eq!(over.status, 429);
    assert_eq!(over.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    assert!(over.header("retry-after").is_some());
    assert_eq!(ask(&gateway, json!({})).await.header("anthropic-ratelimit-requests-limit"), None);
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

#[tokio::test]
async fn models_are_listed_in_anthropics_shape_for_its_clients() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
    let list = gateway.send("GET", "/v1/models?limit=1000", &headers, b"").await.json().await;
    let first = &list["data"][0];
    assert_eq!((&first["type"], &list["has_more"]), (&json!("model"), &json!(false)));
    assert_eq!((&first["id"], &first["display_name"]), (&list["first_id"], &list["first_id"]));
    assert!(first["created_at"].as_str().unwrap().ends_with("00Z"), "{first}");
    let path = format!("/v1/models/{}", first["id"].as_str().unwrap());
    assert_eq!(gateway.send("GET", &path, &headers, b"").await.json().await, *first);
    let unknown = gateway.send("GET", "/v1/models/gpt-4", &headers, b"").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json().await["error"]["type"], "not_found_error");
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
