//! Answers: their events to the letter, the streams of `tests/streams`, thinking.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, cases, openai};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{answer, ask, gather, message_of};

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

/// A gateway for each: after some failures in a row one would leave the upstream alone.
async fn check(script: Script, case: &Case, how: &str) {
    let gateway = Gateway::with(case.dialect, script, &[("MAX_RETRIES", "0")]).await;
    let name = format!("{}, {how}", case.name);
    let streamed = ask(&gateway, json!({"stream": true})).await;
    let whole = ask(&gateway, json!({})).await;
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
        for (way, script) in case.ways() {
            check(script, &case, way).await;
        }
    }
}

#[tokio::test]
async fn the_events_are_anthropics_to_the_letter() {
    let script = openai::says(
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
async fn what_cannot_be_told_is_an_error_and_no_message() {
    let call = |index: u32, arguments: &str| {
        json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function",
            "function": {"name": "look", "arguments": arguments}}]})
    };
    let torn = openai::says(&[call(0, "{\"a\":")], "tool_calls");
    let gateway = Gateway::start(Dialect::OpenAi, torn).await;
    assert_eq!(ask(&gateway, json!({})).await.status, 502, "arguments that are no JSON");
    let heard = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    assert_eq!(heard.unwrap_err()["type"], "api_error", "nor in a stream");
    gateway.sim.set_plan(openai::says(&[call(0, "{\"a\":")], "length"));
    let cut = ask(&gateway, json!({})).await.json().await;
    assert_eq!((&cut["stop_reason"], &cut["content"]), (&json!("max_tokens"), &json!([])));
    let mixed = openai::says(&[call(0, "{"), call(1, "{}"), call(0, "}")], "tool_calls");
    gateway.sim.set_plan(mixed);
    let heard = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    assert_eq!(heard.unwrap_err()["type"], "api_error", "a call that was closed goes on");
}

#[tokio::test]
async fn nothing_is_told_after_a_call_that_is_torn() {
    let call = |index: u32, arguments: &str| {
        json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function",
            "function": {"name": "look", "arguments": arguments}}]})
    };
    let text = |text: &str| json!({"content": text});
    let thought = |text: &str| json!({"reasoning_content": text});
    let gateway = Gateway::start(Dialect::OpenAi, Script::sse("")).await;
    for after in [call(1, "{}"), text("So."), thought("Hm.")] {
        for finish in ["tool_calls", "length"] {
            let torn = [text("I look."), call(0, "{\"a\":"), after.clone(), call(2, "{}")];
            gateway.sim.set_plan(openai::says(&torn, finish));
            let events = ask(&gateway, json!({"stream": true})).await.events().await;
            assert_eq!(gather(&events).unwrap_err()["type"], "api_error", "{after}");
            let count = |kind: &str| {
                let kind = format!("\"type\":\"{kind}\"");
                events.iter().filter(|event| event.contains(&kind)).count()
            };
            assert_eq!(count("content_block_start"), 2, "the text and the call: {events:?}");
            assert_eq!(count("content_block_stop"), 1, "the text alone has an end: {events:?}");
            assert_eq!(ask(&gateway, json!({})).await.status, 502, "{after}, {finish}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_thinks_again_has_the_same_blocks_streamed_and_whole() {
    let script = openai::says(
        &[
            json!({"reasoning_content": "Hm."}),
            json!({"content": "Grüße."}),
            json!({"reasoning_content": "And?"}),
            json!({"content": "So."}),
            json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
                "function": {"name": "look", "arguments": "{\"a\":1}"}}]}),
            json!({"content": "Done."}),
        ],
        "tool_calls",
    );
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for display in ["summarized", "omitted"] {
        let thinking = json!({"type": "adaptive", "display": display});
        let ask = async |stream: bool| {
            let fields = json!({"stream": stream, "thinking": thinking});
            message_of(ask(&gateway, fields).await, stream).await
        };
        let (streamed, whole) = (ask(true).await, ask(false).await);
        assert_eq!(streamed["content"], whole["content"], "{display}");
        let blocks = whole["content"].as_array().unwrap().iter();
        let kinds: Vec<&str> = blocks.map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["thinking", "text", "thinking", "text", "tool_use", "text"]);
    }
}

#[tokio::test]
async fn a_full_context_is_told_in_anthropics_word_for_it() {
    let full = openai::says(&[json!({"content": "A"})], "model_context_window_exceeded");
    let gateway = Gateway::start(Dialect::OpenAi, full).await;
    for stream in [true, false] {
        let message = message_of(ask(&gateway, json!({"stream": stream})).await, stream).await;
        assert_eq!(message["stop_reason"], "model_context_window_exceeded");
    }
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
        openai::says(&[json!({"reasoning_content": "R"}), json!({"content": "A"})], "stop");
    gateway.sim.set_plan(thinking);
    gateway.reload(&[("THINK_TAGS_MODE", "strip")]);
    let message = ask(&gateway, json!({})).await.json().await;
    assert_eq!(message["content"], json!([{"type": "text", "text": "A"}]));
}

#[tokio::test]
async fn thinking_that_is_not_shown_comes_back_with_the_conversation() {
    let script = openai::says(
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
