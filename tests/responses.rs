//! OpenAI's Responses API over the same path: the same words, usage and errors as in Chat
//! Completions, for every stream of `tests/streams`; and answers that later requests follow.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, KEY, Reply, cases};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

async fn send(gateway: &Gateway, method: &str, path: &str, key: &str, body: &[u8]) -> Reply {
    let key = format!("Bearer {key}");
    gateway.send(method, path, &[("authorization", &key)], body).await
}

async fn ask(gateway: &Gateway, fields: Value) -> Reply {
    let mut body = json!({"model": "GLM-4.6", "input": "How do tides work?"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    send(gateway, "POST", "/v1/responses", KEY, body.to_string().as_bytes()).await
}

/// Checks the order of the events, and that the last one repeats what the deltas said. Answers the
/// last event's response.
fn gather(events: &[String]) -> Value {
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at, "numbered without a gap: {event}");
    }
    let kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let (mut items, mut open): (Vec<Value>, Option<(Value, String)>) = (Vec::new(), None);
    for event in &events[2..events.len() - 1] {
        let kind = event["type"].as_str().unwrap();
        assert_eq!(event["output_index"], items.len(), "{event}");
        if kind == "response.output_item.added" {
            assert!(open.is_none());
            open = Some((event["item"].clone(), String::new()));
            continue;
        }
        let (item, text) = open.as_mut().expect("an open item");
        let delta = event["delta"].as_str();
        if kind == "response.output_item.done" {
            assert_eq!(event["item"]["id"], item["id"]);
            assert_eq!(text_of(&event["item"]), *text, "the item holds what the deltas said");
            items.push(event["item"].clone());
            open = None;
            continue;
        }
        assert_eq!(event["item_id"], item["id"], "{event}");
        *text += delta.unwrap_or_default();
        if kind.ends_with(".done") && event.get("text").is_some() {
            assert_eq!(event["text"], **text);
        }
    }
    let last = events.last().unwrap();
    let response = last["response"].clone();
    let status = kinds.last().unwrap().strip_prefix("response.").unwrap();
    assert_eq!(response["status"], status);
    if status != "failed" {
        assert!(open.is_none(), "an item is left open");
        assert_eq!(response["output"], json!(items));
    }
    response
}

fn text_of(item: &Value) -> String {
    let parts = |field: &str| {
        let parts = item[field].as_array().into_iter().flatten();
        parts.map(|part| part["text"].as_str().unwrap()).collect::<String>()
    };
    match item["type"].as_str().unwrap() {
        "function_call" => item["arguments"].as_str().unwrap().to_owned(),
        _ => parts("summary") + &parts("content"),
    }
}

fn of_kind<'a>(response: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    response["output"].as_array().unwrap().iter().filter(move |item| item["type"] == kind)
}

fn check_meaning(response: &Value, case: &Case, name: &str) {
    let text = |kind| of_kind(response, kind).map(text_of).collect::<String>();
    assert_eq!(text("reasoning"), case.reasoning(ThinkMode::Reasoning), "{name}");
    assert_eq!(text("message"), case.content(ThinkMode::Reasoning).unwrap(), "{name}");
    let calls: Vec<&Value> = of_kind(response, "function_call").collect();
    assert_eq!(calls.len(), case.tool_calls.len(), "{name}");
    for (call, meant) in calls.iter().zip(&case.tool_calls) {
        assert_eq!((&call["call_id"], &call["name"]), (&json!(meant.id), &json!(meant.name)));
        assert_eq!(call["arguments"], meant.arguments, "{name}");
    }
    let cited = of_kind(response, "message").last();
    let cited = cited.map_or(&Value::Null, |item| &item["content"][0]["annotations"]);
    assert_eq!(cited.as_array().map_or(0, Vec::len), case.sources.len(), "{name}");
    match &case.usage {
        None => assert_eq!(response["usage"], Value::Null, "{name}: never invented"),
        Some(usage) => {
            assert_eq!(response["usage"]["input_tokens"], usage["prompt_tokens"], "{name}");
            assert_eq!(response["usage"]["output_tokens"], usage["completion_tokens"], "{name}");
        }
    }
}

async fn check(gateway: &Gateway, case: &Case, how: &str) {
    let name = format!("{}, {how}", case.name);
    let streamed = ask(gateway, json!({"stream": true})).await;
    let whole = ask(gateway, json!({})).await;
    if streamed.status != 200 {
        assert!(!matches!(case.ends, Ends::Finish(_)), "{name}");
        assert_eq!(streamed.status, whole.status, "{name}");
        assert!(streamed.json().await["error"]["message"].is_string(), "{name}");
        return;
    }
    let heard = gather(&streamed.events().await);
    match &case.ends {
        Ends::Finish(reason) => {
            let (status, why) = match reason.as_str() {
                "length" => ("incomplete", json!({"reason": "max_output_tokens"})),
                "content_filter" => ("incomplete", json!({"reason": "content_filter"})),
                _ => ("completed", Value::Null),
            };
            assert_eq!((&heard["status"], &heard["incomplete_details"]), (&json!(status), &why));
            check_meaning(&heard, case, &name);
            assert_eq!(without_names(whole.json().await), without_names(heard), "{name}");
        }
        Ends::Truncated | Ends::Error(_) => {
            assert_eq!(heard["status"], "failed", "{name}");
            assert!(heard["error"]["message"].is_string(), "{name}");
            assert_eq!(whole.status, 502, "{name}: no part may look whole");
        }
    }
}

fn without_names(mut response: Value) -> Value {
    response["id"].take();
    response["created_at"].take();
    for item in response["output"].as_array_mut().unwrap() {
        item["id"].take();
    }
    response
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

fn says(delta: Value) -> Script {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
    };
    Script::events([chunk(delta, None), chunk(json!({}), Some("stop")), "[DONE]".to_owned()])
}

fn asked(gateway: &Gateway) -> Value {
    gateway.sim.chats().last().expect("a request").json()
}

#[tokio::test]
async fn the_events_are_openais_in_their_order() {
    let script = says(json!({"reasoning_content": "Hm.", "content": "Yes.",
        "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]}));
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let kinds = async |fields: Value| -> Vec<String> {
        let events = ask(&gateway, fields).await.events().await;
        let kind = |event: &String| serde_json::from_str::<Value>(event).unwrap()["type"].clone();
        events.iter().map(|e| kind(e).as_str().unwrap()["response.".len()..].to_owned()).collect()
    };
    let rest = [
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    let raw = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ];
    assert_eq!(kinds(json!({"stream": true})).await, [raw.as_slice(), &rest].concat());
    let summary = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ];
    let fields = json!({"stream": true, "reasoning": {"summary": "auto"}});
    assert_eq!(kinds(fields).await, [summary.as_slice(), &rest].concat());
}

#[tokio::test]
async fn a_request_is_asked_upstream_with_everything_in_it() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "Hi"}))).await;
    let reply = ask(
        &gateway,
        json!({
            "instructions": "Be brief.", "max_output_tokens": 77, "temperature": 0.5,
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": false}],
            "metadata": {"a": "b"},
            "input": [
                {"role": "user", "content": "Look at it."},
                {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "I look."}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I will."}]},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\":\"it\"}"},
                {"type": "function_call_output", "call_id": "c1", "output": "nothing"},
                {"role": "user", "content": [{"type": "input_text", "text": "And now?"}]}
            ],
        }),
    )
    .await;
    assert_eq!(reply.status, 200);
    let response = reply.json().await;
    assert_eq!(
        (&response["object"], &response["metadata"]),
        (&json!("response"), &json!({"a": "b"}))
    );
    assert_eq!(
        (&response["instructions"], &response["max_output_tokens"]),
        (&json!("Be brief."), &json!(77))
    );
    let asked = asked(&gateway);
    assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(77), &json!(0.5)));
    assert_eq!(asked["tools"][0]["function"]["name"], "look");
    let messages = asked["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(messages[2]["reasoning_content"], "I look.");
    assert!(messages[2]["content"].to_string().contains("I will."));
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], r#"{"at":"it"}"#);
    assert_eq!(
        (&messages[3]["tool_call_id"], &messages[3]["content"]),
        (&json!("c1"), &json!("nothing"))
    );
}

#[tokio::test]
async fn a_request_goes_on_from_an_answer_that_is_kept() {
    let gateway = Gateway::with(
        Dialect::OpenAi,
        says(json!({"content": "One."})),
        &[("DEFAULT_KEY", &format!("{KEY},sk-other-0123456789abcdef"))],
    )
    .await;
    for stream in [false, true] {
        let reply = ask(&gateway, json!({"stream": stream, "instructions": "Be brief."})).await;
        let first = if stream { gather(&reply.events().await) } else { reply.json().await };
        let id = first["id"].as_str().unwrap();
        let path = format!("/v1/responses/{id}");
        assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.json().await, first);
        let next = json!({"input": "And then?", "previous_response_id": id});
        let second = ask(&gateway, next.clone()).await.json().await;
        assert_eq!(second["previous_response_id"], id);
        let contents: Vec<String> = asked(&gateway)["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| format!("{}: {}", m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
            .collect();
        let expected = ["user: How do tides work?", "assistant: One.", "user: And then?"];
        assert_eq!(contents, expected, "all of it, but for the instructions of before");
        let other = "sk-other-0123456789abcdef";
        assert_eq!(send(&gateway, "GET", &path, other, b"").await.status, 404, "another's");
        let body =
            json!({"model": "GLM-4.6", "input": "x", "previous_response_id": id}).to_string();
        let refused = send(&gateway, "POST", "/v1/responses", other, body.as_bytes()).await;
        assert_eq!(refused.json().await["error"]["code"], "previous_response_not_found");
        assert_eq!(send(&gateway, "DELETE", &path, KEY, b"").await.json().await["deleted"], true);
        assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404);
        assert_eq!(ask(&gateway, next).await.status, 400);
    }
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let first = ask(&gateway, json!({"store": false})).await.json().await;
    assert_eq!(first["store"], false);
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404);
    let variables = [("RESPONSES_STORE_MB", "0")];
    let gateway =
        Gateway::with(Dialect::OpenAi, says(json!({"content": "One."})), &variables).await;
    let first = ask(&gateway, json!({})).await.json().await;
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404);
}

#[tokio::test]
async fn an_item_that_was_cut_is_incomplete() {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
    };
    let call = json!({"content": "x", "tool_calls": [{"index": 0, "id": "c1",
        "function": {"name": "look", "arguments": "{\"a\":"}}]});
    let ends = [chunk(call, None), chunk(json!({}), Some("length")), "[DONE]".to_owned()];
    let gateway = Gateway::start(Dialect::OpenAi, Script::events(ends)).await;
    let streamed = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    let whole = ask(&gateway, json!({})).await.json().await;
    for response in [streamed, whole] {
        let status = |at: usize| response["output"][at]["status"].clone();
        assert_eq!([status(0), status(1)], ["completed", "incomplete"]);
    }
}

/// Checks how the stream of a broken answer ends, and that it is a failure everywhere.
async fn check_broken(script: Script, code: &str, kind: &str) {
    let variables = [("MAX_RETRIES", "0"), ("STREAM_IDLE_TIMEOUT", "100")];
    let gateway = Gateway::with(Dialect::OpenAi, script, &variables).await;
    let response = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    assert_eq!((&response["status"], &response["error"]["code"]), (&json!("failed"), &json!(code)));
    assert_eq!(response["usage"], Value::Null);
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!((&line["status_code"], &line["level"]), (&json!(200), &json!("ERROR")), "{line}");
    assert!(line["error"].as_str().unwrap().contains(kind), "{line}");
    let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404, "nothing broken is kept");
}

#[tokio::test]
async fn a_broken_stream_says_what_broke_it_and_so_does_its_record() {
    let half = || says(json!({"content": "half"}));
    check_broken(half().cut_after(1), "upstream_disconnected", "upstream_disconnected").await;
    check_broken(half().stall_after(1), "upstream_idle_timeout", "upstream_idle_timeout").await;
    let chunk = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let piece = |index: u64, id: Value| {
        let function = json!({"name": id.as_str().map(|_| "look"), "arguments": "{"});
        chunk(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
    };
    let pieces = [piece(0, json!("a")), piece(1, json!("b")), piece(0, Value::Null)];
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    let end = [finish.to_string(), "[DONE]".to_owned()];
    let mixed = Script::events(pieces.into_iter().chain(end));
    check_broken(mixed, "upstream_mixed_calls", "upstream_mixed_calls").await;
    let refused = |code: &str| {
        let error = json!({"error": {"code": code, "message": "no"}}).to_string();
        Script::events([chunk(json!({"content": "half"})), error])
    };
    check_broken(refused("1302"), "rate_limit_exceeded", "upstream_rate_limited").await;
    check_broken(refused("1261"), "context_length_exceeded", "context_length_exceeded").await;
}

#[tokio::test]
async fn an_effort_switches_the_thinking() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    for (effort, kind) in [("none", "disabled"), ("high", "enabled")] {
        let fields = json!({"model": "GLM-4.7", "reasoning": {"effort": effort}});
        assert_eq!(ask(&gateway, fields).await.status, 200);
        assert_eq!(asked(&gateway)["thinking"]["type"], kind, "{effort}");
    }
}

#[tokio::test]
async fn what_is_only_offered_beside_the_rest_is_left_out_and_named() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let tools = json!([
        {"type": "function", "name": "look"},
        {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "spawn"}]},
        {"type": "web_search", "external_web_access": false},
    ]);
    let reply = ask(&gateway, json!({"tools": tools})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-z2api-ignored"), Some("tools.namespace, tools.web_search"));
    assert_eq!(asked(&gateway)["tools"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let check = async |fields: Value, param: &str| {
        let reply = ask(&gateway, fields.clone()).await;
        assert_eq!(reply.status, 400, "{fields}");
        assert_eq!(reply.json().await["error"]["param"], param, "{fields}");
    };
    check(json!({"background": true}), "background").await;
    check(json!({"conversation": "c"}), "conversation").await;
    check(json!({"prompt": {"id": "p"}}), "prompt").await;
    check(json!({"input": null}), "input").await;
    check(json!({"tools": [{"type": "code_interpreter"}]}), "tools[0]").await;
    check(json!({"input": [{"type": "computer_call"}]}), "input[0]").await;
    check(json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input[0].call_id")
        .await;
    check(json!({"text": {"format": {"type": "json_schema", "name": "x"}}}), "text.format").await;
    assert_eq!(gateway.sim.chat_requests(), 0);
}
