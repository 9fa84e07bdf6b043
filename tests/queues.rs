//! Where requests wait, and what is told of it: in the record, the metrics and `Server-Timing`.

use std::io::Write;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use z2api_tests::{Gateway, PATIENCE};
use z2api_upstream_sim::{Plan, Script, plan_fn};
use z2api_wire::event::Dialect;

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"tide "}}]}"#;

fn stuck() -> Script {
    Script::events([TEXT]).stall_after(1)
}

async fn scrape(gateway: &Gateway) -> String {
    gateway.get("/metrics").await.text().await
}

/// Asks, waits until so many are in a queue, and hangs up. Answers the record's last line.
async fn hangs_up_while_in(gateway: &Gateway, queue: &str) -> Value {
    let length = format!("z2api_requests_queued{{queue=\"{queue}\"}} 1\n");
    let (queued, for_token) = if queue == "token" { (0, 1) } else { (1, 0) };
    {
        let asking = gateway.chat("Few", json!({}));
        tokio::pin!(asking);
        let waits = async { while !scrape(gateway).await.contains(&length) {} };
        tokio::select! {
            _ = &mut asking => panic!("no place yet"),
            waits = tokio::time::timeout(PATIENCE, waits) => waits.expect("it waits"),
        }
        let status = gateway.get("/status").await.json().await;
        assert_eq!(
            (&status["queued"], &status["queued_for_token"]),
            (&json!(queued), &json!(for_token))
        );
    }
    let is_its = |line: &String| line.contains("client_hung_up");
    gateway.until(|gateway| gateway.log.lines().iter().any(is_its)).await;
    let line = gateway.log.lines().into_iter().find(is_its).expect("its line");
    serde_json::from_str(&line).expect("a line is JSON")
}

/// A gateway with a model that may have one request in flight, or many.
async fn gateway(
    plan: impl Plan,
    at_once: &str,
    more: &[(&str, &str)],
) -> (Gateway, NamedTempFile) {
    let mut models = NamedTempFile::new().unwrap();
    let model = r#"[{"name":"Few","zai_web":"few","created":1,"thinking":"never""#;
    write!(models, "{model}{at_once}}}]").unwrap();
    let path = models.path().to_str().unwrap().to_owned();
    let quiet = [("LOG_PROBES", "false"), ("MODELS_FILE", path.as_str())];
    let all: Vec<_> = quiet.iter().chain(more).copied().collect();
    (Gateway::with(Dialect::OpenAi, plan, &all).await, models)
}

async fn held(gateway: &Gateway, fields: Value) -> z2api_tests::Reply {
    let mut held = gateway.chat("Few", fields).await;
    held.event().await.expect("a chunk");
    held
}

async fn check(gateway: &Gateway, queue: &str, others: [&str; 2], of_others: [u64; 2]) {
    let line = hangs_up_while_in(gateway, queue).await;
    assert!(line["queue_time_ms"].is_u64(), "{line}");
    let scrape = scrape(gateway).await;
    let count = |queue: &str| {
        let sample = format!("z2api_queue_wait_seconds_count{{queue=\"{queue}\"}} ");
        scrape.lines().find_map(|line| line.strip_prefix(&sample)?.parse::<u64>().ok())
    };
    assert_eq!((count(queue), others.map(count)), (Some(1), of_others.map(Some)), "{scrape}");
}

#[tokio::test]
async fn who_hangs_up_waiting_for_a_slot_has_waited() {
    let one = [("MAX_CONCURRENT_CONNECTIONS", "1")];
    let (gateway, _models) = gateway(stuck(), "", &one).await;
    let _held = held(&gateway, json!({"stream": true})).await;
    check(&gateway, "slot", ["model", "token"], [0, 0]).await;
}

#[tokio::test]
async fn who_hangs_up_waiting_for_a_place_of_the_model_has_waited() {
    let (gateway, _models) = gateway(stuck(), r#","concurrency":1"#, &[]).await;
    let _held = held(&gateway, json!({"stream": true})).await;
    check(&gateway, "model", ["slot", "token"], [0, 0]).await;
}

/// Of this token's requests one at a time is answered: the first, which has a stop word.
fn one_at_a_time() -> impl Plan {
    let too_many = r#"{"error":{"code":"1302","message":"too many"}}"#;
    plan_fn(move |asked| match asked.json()["stop"].is_null() {
        true => Script::status(429, "application/json", too_many),
        false => stuck(),
    })
}

#[tokio::test]
async fn who_hangs_up_waiting_for_a_token_has_waited() {
    let (gateway, _models) = gateway(one_at_a_time(), "", &[("MAX_RETRIES", "0")]).await;
    let _held = held(&gateway, json!({"stream": true, "stop": ["x"]})).await;
    check(&gateway, "token", ["slot", "model"], [1, 0]).await;
}

#[tokio::test]
async fn the_wait_for_a_token_is_the_queues_time_and_not_the_upstreams() {
    let beats = [("CONNECTION_CHECK_INTERVAL", "1")];
    let (gateway, _models) = gateway(one_at_a_time(), "", &beats).await;
    let _held = held(&gateway, json!({"stream": true, "stop": ["x"]})).await;
    // Its head goes out with the first heartbeat, while it waits for its turn.
    let waits = gateway.chat("Few", json!({"stream": true})).await;
    let timing = waits.header("server-timing").expect("the header");
    let queue = timing.split("queue;dur=").nth(1).and_then(|rest| rest.split(',').next());
    let queue: f64 = queue.expect("a queue").parse().expect("milliseconds");
    assert!(queue > 900.0, "{timing}");
}
