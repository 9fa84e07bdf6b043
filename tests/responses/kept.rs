//! Answers that later requests follow.

use std::sync::Arc;

use serde_json::json;
use z2api_observability::MemoryReading;
use z2api_server::MemorySource;
use z2api_tests::{Gateway, KEY};
use z2api_wire::event::Dialect;

use crate::{ask, asked, gather, says, send};

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
        let as_stream = send(&gateway, "GET", &format!("{path}?stream=true"), KEY, b"").await;
        assert_eq!(as_stream.status, 400, "never one instead of the other");
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
    assert_eq!(first["store"], false, "what is done, not what was asked for");
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(send(&gateway, "GET", &path, KEY, b"").await.status, 404);
}

#[tokio::test]
async fn what_can_never_be_kept_is_told_to_be_not_kept() {
    let variables = [("RESPONSES_STORE_MB", "1")];
    let gateway =
        Gateway::with(Dialect::OpenAi, says(json!({"content": "One."})), &variables).await;
    for (bytes, kept) in [(1000, true), (1 << 20, false)] {
        let first = ask(&gateway, json!({"input": "x".repeat(bytes)})).await.json().await;
        assert_eq!(first["store"], kept, "{bytes}");
        let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
        let found = send(&gateway, "GET", &path, KEY, b"").await;
        assert_eq!(found.status == 200, kept, "{bytes}");
    }
}

/// A small request that goes on from a large conversation is a large one.
#[tokio::test]
async fn there_must_be_room_for_all_that_a_request_goes_on_from() {
    const MIB: usize = 1024 * 1024;
    let calm: MemorySource = Arc::new(|| MemoryReading { resident: 0, group: None });
    let limit = [("MEMORY_LIMIT_MB", "100")];
    let plan = says(json!({"content": "One."}));
    let gateway = Gateway::with_memory(Dialect::OpenAi, plan, &limit, Some(calm)).await;
    let text = |bytes: usize| "x".repeat(bytes);
    let small = ask(&gateway, json!({"input": text(MIB)})).await;
    assert_eq!(small.status, 200, "there is room for it alone");
    let first = ask(&gateway, json!({"input": text(6 * MIB)})).await.json().await;
    let fields = |bytes: usize| json!({"input": text(bytes), "previous_response_id": first["id"], "store": false});
    assert_eq!(ask(&gateway, fields(100)).await.status, 200);
    let refused = ask(&gateway, fields(MIB)).await;
    assert_eq!(refused.status, 413);
    let error = &refused.json().await["error"];
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("request_too_large"), &json!("previous_response_id"))
    );
}
