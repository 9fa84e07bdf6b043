//! A retry is told in the log. A test of its own, since what libraries say goes to one place for the
//! whole process.

use serde_json::{Value, json};
use z2api_observability::{LogSink, subscriber};
use z2api_tests::web::fine;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::{Script, fails_first};
use z2api_wire::event::Dialect;

fn down() -> Script {
    Script::status(503, "application/json", "{}")
}

#[tokio::test]
async fn each_retry_is_a_warning_under_the_requests_id_and_each_attempt_is_told() {
    let (sink, log, guard) = LogSink::memory();
    let (all, _filter) = subscriber(sink, "warn").unwrap();
    z2api_tests::listen_as(all);
    let gateway = Gateway::start(Dialect::ZaiWeb, fails_first(2, down(), fine())).await;
    let body = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}]});
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-request-id", "mine")];
    let body = body.to_string();
    let asked = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
    assert_eq!(asked.status, 200);
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!((&line["retry_count"], &line["api"]), (&json!(2), &json!("chat_completions")));
    let attempts = line["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts.iter().map(|one| (&one["outcome"], &one["status"])).collect();
    let failed = (&json!("upstream_error"), &json!(503));
    assert_eq!(told, [failed, failed, (&json!("answered"), &Value::Null)]);
    assert!(line["time_to_first_token_ms"].is_u64(), "{line}");
    drop(guard);
    let warnings: Vec<Value> =
        log.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(warnings.len(), 2);
    for warning in &warnings {
        assert_eq!((&warning["type"], &warning["level"]), (&json!("retry"), &json!("WARN")));
        assert_eq!(warning["request_id"], "mine");
    }
}
