//! Whether to think, and thinking that is given back.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_wire::event::Dialect;

use crate::{ask, asked, gather, says};

#[tokio::test]
async fn an_effort_switches_the_thinking() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    for (effort, kind) in [("none", "disabled"), ("high", "enabled")] {
        let fields = json!({"model": "GLM-4.7", "reasoning": {"effort": effort}});
        let reply = ask(&gateway, fields).await;
        // How hard it thinks is not for this model to choose.
        let left_out = (effort == "high").then_some("reasoning.effort");
        assert_eq!((reply.status, reply.header("x-z2api-ignored")), (200, left_out));
        assert_eq!(asked(&gateway)["thinking"]["type"], kind, "{effort}");
    }
}

/// The response to a request, streamed or whole.
async fn answered(gateway: &Gateway, mut fields: Value, stream: bool) -> Value {
    fields["stream"] = json!(stream);
    let reply = ask(gateway, fields).await;
    if stream { gather(&reply.events().await) } else { reply.json().await }
}

const THOUGHT: &str = "I look.\n  - at \"it\" 山 🙂\n";

#[tokio::test]
async fn thinking_can_be_given_back_in_a_form_that_nobody_reads() {
    let script = says(json!({"reasoning_content": THOUGHT, "content": "One."}));
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let asks = [
        json!({"include": ["reasoning.encrypted_content"]}),
        json!({"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}),
        json!({"store": false}),
    ];
    for fields in asks {
        for stream in [false, true] {
            let first = answered(&gateway, fields.clone(), stream).await;
            let mut item = first["output"][0].clone();
            let opaque = item["encrypted_content"].as_str().expect("it is there").to_owned();
            assert!(opaque.starts_with("z2api-reasoning-1:") && !opaque.contains("look"));
            // As clients give it back that keep no words of it.
            item["summary"] = json!([]);
            item.as_object_mut().unwrap().remove("content");
            let input = json!([{"role": "user", "content": "Look."}, item, first["output"][1],
                {"role": "user", "content": "And now?"}]);
            assert_eq!(
                answered(&gateway, json!({"input": input}), stream).await["status"],
                "completed"
            );
            assert_eq!(asked(&gateway)["messages"][1]["reasoning_content"], THOUGHT);
        }
    }
    let plain = answered(&gateway, json!({}), true).await;
    assert_eq!(plain["output"][0].get("encrypted_content"), None, "nobody asked");
}

#[tokio::test]
async fn thinking_that_is_given_back_twice_counts_once() {
    let script = says(json!({"reasoning_content": THOUGHT, "content": "One."}));
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for summary in [Value::Null, json!("detailed")] {
        let fields = json!({"store": false, "reasoning": {"summary": summary}});
        let output = answered(&gateway, fields, false).await["output"].clone();
        let input = json!([{"role": "user", "content": "Look."}, output[0], output[1],
            {"role": "user", "content": "And now?"}]);
        answered(&gateway, json!({"input": input}), false).await;
        assert_eq!(asked(&gateway)["messages"][1]["reasoning_content"], THOUGHT);
    }
}

#[tokio::test]
async fn thinking_of_somebody_else_is_named_and_damaged_thinking_refused() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let given = |opaque: &str, summary: Value| {
        json!({"input": [{"role": "user", "content": "Look."},
            {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": opaque},
            {"role": "assistant", "content": "One."}, {"role": "user", "content": "And now?"}]})
    };
    let reply = ask(&gateway, given("gAAAAABo", json!([]))).await;
    assert_eq!((reply.status, reply.header("x-z2api-ignored")), (200, Some("encrypted_content")));
    let summary = json!([{"type": "summary_text", "text": "I looked."}]);
    let reply = ask(&gateway, given("gAAAAABo", summary)).await;
    assert_eq!((reply.status, reply.header("x-z2api-ignored")), (200, None));
    assert_eq!(asked(&gateway)["messages"][1]["reasoning_content"], "I looked.");
    let reply = ask(&gateway, given("z2api-reasoning-1:####", json!([]))).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json().await["error"]["param"], "input[1].encrypted_content");
}

#[tokio::test]
async fn the_web_chat_is_asked_without_thinking_that_is_given_back() {
    let script = z2api_upstream_sim::Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"fine","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ]);
    let gateway = Gateway::start(Dialect::ZaiWeb, script).await;
    let input = json!([{"role": "user", "content": "Look."},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I looked."}]},
        {"role": "assistant", "content": "One."}, {"role": "user", "content": "And now?"}]);
    assert_eq!(ask(&gateway, json!({"input": input})).await.status, 200);
    let turns = asked(&gateway)["messages"].clone();
    assert_eq!(
        turns[1],
        json!({"role": "assistant", "content": [{"type": "text", "text": "One."}]})
    );
}
