//! Answers that are cut, and streams that break.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, openai};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{ask, gather, says, send};

#[tokio::test]
async fn an_item_that_was_cut_is_incomplete() {
    let call = json!({"content": "x", "tool_calls": [{"index": 0, "id": "c1",
        "function": {"name": "look", "arguments": "{\"a\":"}}]});
    let gateway = Gateway::start(Dialect::OpenAi, openai::says(&[call], "length")).await;
    let streamed = gather(&ask(&gateway, json!({"stream": true})).await.events().await);
    let whole = ask(&gateway, json!({})).await.json().await;
    for response in [streamed, whole] {
        let status = |at: usize| response["output"][at]["status"].clone();
        assert_eq!([status(0), status(1)], ["completed", "incomplete"]);
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_answer_and_nothing_of_it_is_kept() {
    let script = says(json!({"content": "half"})).stall_after(1);
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let mut reply = ask(&gateway, json!({"stream": true})).await;
    let id = loop {
        let event: Value = serde_json::from_str(&reply.event().await.expect("an event")).unwrap();
        if event["type"] == "response.output_text.delta" {
            break event["item_id"].as_str().unwrap().to_owned();
        }
    };
    drop(reply);
    gateway.until(|gateway| gateway.in_flight() == 0 && gateway.sim.open_streams() == 0).await;
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!(line["status_code"], 499, "{line}");
    let random = id.trim_start_matches("msg_").trim_end_matches("00");
    let path = format!("/v1/responses/resp_{random}");
    assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404);
}

/// Checks how the stream of a broken answer ends, and that it is a failure everywhere.
async fn check_broken(script: Script, code: &str, kind: &str) {
    // Short only where it is silence that ends it.
    let idle = if code == "upstream_idle_timeout" { "100" } else { "60000" };
    let variables = [("MAX_RETRIES", "0"), ("STREAM_IDLE_TIMEOUT", idle)];
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
