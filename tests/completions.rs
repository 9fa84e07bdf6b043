//! The older API, text completions, and the oldest form of tools: the same path, other words.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Ends, Gateway, KEY, Reply, cases};
use z2api_upstream_sim::{Recorded, Script};
use z2api_wire::event::Dialect;

async fn complete(gateway: &Gateway, path: &str, fields: Value) -> Reply {
    let mut body = json!({"model": "GLM-4.6", "prompt": "How do tides work?"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
}

/// What a client puts together from a stream, after a look at each chunk.
fn gather(events: &[String]) -> (String, String, Vec<String>, Value) {
    let (done, chunks) = events.split_last().expect("events");
    assert_eq!(done, "[DONE]");
    let (mut text, mut reasoning, mut reasons, mut usage) =
        (String::new(), String::new(), Vec::new(), Value::Null);
    for chunk in chunks {
        let chunk: Value = serde_json::from_str(chunk).expect("JSON");
        assert_eq!(chunk["object"], "text_completion");
        assert!(chunk["id"].as_str().unwrap().starts_with("cmpl-"), "{chunk}");
        if let Some(choice) = chunk["choices"].get(0) {
            assert_eq!((&choice["index"], choice.get("logprobs")), (&json!(0), Some(&Value::Null)));
            text += choice["text"].as_str().expect("text");
            reasoning += choice["reasoning_content"].as_str().unwrap_or_default();
            reasons.extend(choice["finish_reason"].as_str().map(String::from));
        } else {
            usage = chunk["usage"].clone();
        }
    }
    (text, reasoning, reasons, usage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_means_the_same_as_a_text_completion() {
    let case_of_text = |case: &z2api_tests::Case| {
        matches!(case.ends, Ends::Finish(_)) && case.tool_calls.is_empty()
    };
    for case in cases().into_iter().filter(case_of_text) {
        let gateway = Gateway::start(case.dialect, Script::sse(case.bytes.clone())).await;
        let Ends::Finish(reason) = &case.ends else { unreachable!("only such are left") };
        for mode in ThinkMode::ALL {
            let name = format!("{} in {mode}", case.name);
            let fields = json!({"reasoning_format": mode.as_str()});
            let whole = complete(&gateway, "/v1/completions", fields).await;
            assert_eq!(whole.status, 200, "{name}");
            let whole = whole.json().await;
            assert_eq!(whole["object"], "text_completion", "{name}");
            let choice = &whole["choices"][0];
            if let Some(content) = case.content(mode) {
                assert_eq!(choice["text"], content, "{name}");
            }
            let reasoning = choice["reasoning_content"].as_str().unwrap_or_default();
            assert_eq!(reasoning, case.reasoning(mode), "{name}");
            assert_eq!(choice["finish_reason"], reason.as_str(), "{name}");
            assert_eq!(whole.get("usage"), case.usage.as_ref(), "{name}");
            let fields = json!({"reasoning_format": mode.as_str(), "stream": true,
                "stream_options": {"include_usage": true}});
            let streamed = complete(&gateway, "/completions", fields).await;
            assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
            let (text, thought, reasons, usage) = gather(&streamed.events().await);
            assert_eq!(
                (json!(text), thought.as_str()),
                (choice["text"].clone(), reasoning),
                "{name}"
            );
            assert_eq!(reasons, [reason.as_str()], "{name}");
            assert_eq!(usage, case.usage.clone().unwrap_or_default(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_prompt_is_asked_as_a_users_turn_within_the_same_limits() {
    let answer = Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"1, 2, 3"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    let gateway = Gateway::start(Dialect::OpenAi, answer).await;
    let fields = json!({"prompt": ["Count:\n"], "max_tokens": 9, "temperature": 0.5, "stop": "3",
        "suffix": null, "echo": false, "best_of": 1, "seed": 1});
    let reply = complete(&gateway, "/v1/completions", fields).await;
    assert_eq!((reply.status, reply.header("x-z2api-ignored")), (200, Some("seed")));
    assert_eq!(reply.json().await["choices"][0]["text"], "1, 2, ");
    let sent: Recorded = gateway.sim.chats().remove(0);
    let sent = sent.json();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "Count:\n"}]));
    assert_eq!((&sent["max_tokens"], &sent["temperature"]), (&json!(9), &json!(0.5)));
    for (fields, param) in [
        (json!({"echo": true}), "echo"),
        (json!({"n": 2}), "n"),
        (json!({"prompt": ["a", "b"]}), "prompt"),
        (json!({"prompt": [1, 2]}), "prompt"),
        (json!({"logprobs": 1}), "logprobs"),
    ] {
        let reply = complete(&gateway, "/v1/completions", fields).await;
        assert_eq!(reply.status, 400, "{param}");
        assert_eq!(reply.json().await["error"]["param"], param);
    }
}

#[tokio::test]
async fn a_text_stream_that_breaks_ends_with_an_error_event() {
    let half =
        Script::events([r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#]).cut_after(1);
    let gateway = Gateway::start(Dialect::OpenAi, half).await;
    let events =
        complete(&gateway, "/v1/completions", json!({"stream": true})).await.events().await;
    assert!(events.last().unwrap().contains("\"error\""), "{events:?}");
    assert!(events.iter().all(|event| event != "[DONE]"));
}

/// There is no word for it in this API, and no client's type takes one.
#[tokio::test]
async fn a_call_that_nobody_offered_is_passed_over_in_a_text_completion() {
    let calls = Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"Tides"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"look","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let gateway = Gateway::start(Dialect::OpenAi, calls).await;
    let whole = complete(&gateway, "/v1/completions", json!({})).await.json().await;
    assert_eq!(whole["choices"][0]["text"], "Tides");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let streamed = complete(&gateway, "/v1/completions", json!({"stream": true})).await;
    let (text, _, reasons, _) = gather(&streamed.events().await);
    assert_eq!((text.as_str(), reasons.as_slice()), ("Tides", &["stop".to_owned()][..]));
}

#[tokio::test]
async fn a_request_with_functions_is_answered_with_a_function_call() {
    let calls = Script::events([
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"look","arguments":"{\"at\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"id":"b","type":"function","function":{"name":"other","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let gateway = Gateway::start(Dialect::OpenAi, calls).await;
    let functions = json!([{"name": "look", "parameters": {"type": "object"}}]);
    let body = gateway.chat("GLM-4.6", json!({"functions": functions})).await.json().await;
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "function_call");
    let call = json!({"name": "look", "arguments": "{\"at\":1}"});
    assert_eq!(
        (&choice["message"]["function_call"], choice["message"].get("tool_calls")),
        (&call, None)
    );
    let fields = json!({"functions": functions, "stream": true});
    let events = gateway.chat("GLM-4.6", fields).await.events().await;
    let (mut name, mut arguments, mut reason) = (String::new(), String::new(), None);
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let choice = serde_json::from_str::<Value>(event).unwrap()["choices"][0].clone();
        let call = &choice["delta"]["function_call"];
        name += call["name"].as_str().unwrap_or_default();
        arguments += call["arguments"].as_str().unwrap_or_default();
        reason = choice["finish_reason"].as_str().map(String::from).or(reason);
    }
    assert_eq!((name.as_str(), arguments.as_str()), ("look", "{\"at\":1}"));
    assert_eq!(reason.as_deref(), Some("function_call"));
}
