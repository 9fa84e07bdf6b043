//! Who is let in when not all can be, as callers see it.

use std::time::Duration;

use serde_json::{Value, json};
use z2api_tests::web::{fine, stuck};
use z2api_tests::{Gateway, KEY, PATIENCE, Reply};
use z2api_upstream_sim::{Plan, faults};
use z2api_wire::event::Dialect;

const PATH: &str = "/v1/chat/completions";
const ANN: &str = "sk-the-key-of-ann";
const BOB: &str = "sk-the-key-of-bob";
async fn gateway(plan: impl Plan, slots: &str, queue: &str) -> Gateway {
    let keys = format!("{ANN},{BOB},{KEY}");
    let variables = [
        ("DEFAULT_KEY", keys.as_str()),
        ("MAX_CONCURRENT_CONNECTIONS", slots),
        ("CONNECTION_QUEUE_SIZE", queue),
    ];
    Gateway::with(Dialect::ZaiWeb, plan, &variables).await
}

async fn ask(gateway: &Gateway, key: &str, stream: bool) -> Reply {
    let bearer = format!("Bearer {key}");
    let body = json!({"model": "GLM-4.5", "stream": stream,
        "messages": [{"role": "user", "content": "x"}]});
    let headers = [("authorization", bearer.as_str())];
    gateway.send("POST", PATH, &headers, body.to_string().as_bytes()).await
}

async fn queued(gateway: &Gateway, count: u64) {
    let waiting = async {
        while gateway.get("/status").await.json().await["queued"] != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("as many in the queue");
}

#[tokio::test]
async fn one_key_that_fills_the_queue_makes_room_for_another() {
    let gateway = gateway(stuck(), "1", "2").await;
    let held = ask(&gateway, ANN, true).await;
    let ann = async || {
        let reply = ask(&gateway, ANN, false).await;
        (reply.status, reply.header("retry-after").is_some(), reply.json().await)
    };
    let second_of_ann = async {
        queued(&gateway, 1).await;
        ann().await
    };
    let bob_and_the_rest = async {
        queued(&gateway, 2).await;
        assert_eq!(ann().await.0, 503, "she has all there is, but so far nobody else wants it");
        let bob = async { ask(&gateway, BOB, false).await.status };
        let then = async {
            let over = loop {
                let refused = ann().await;
                if refused.0 == 429 {
                    break refused;
                }
            };
            gateway.sim.set_plan(fine());
            drop(held);
            over
        };
        tokio::join!(bob, then)
    };
    let (first, second, (bob, over)) = tokio::join!(ann(), second_of_ann, bob_and_the_rest);
    assert_eq!((first.0, bob), (200, 200));
    for (status, has_wait, body) in [second, over] {
        assert_eq!((status, has_wait), (429, true), "{body}");
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
        assert!(body["error"]["message"].as_str().unwrap().contains("more of its slots"));
    }
}

#[tokio::test]
async fn what_tells_of_the_gateway_never_needs_a_slot() {
    let gateway = gateway(stuck(), "1", "1").await;
    let _held = ask(&gateway, ANN, true).await;
    let waits = ask(&gateway, ANN, false);
    let full = async {
        queued(&gateway, 1).await;
        assert_eq!(ask(&gateway, ANN, false).await.status, 503);
        for path in ["/health", "/health/live", "/health/ready", "/status", "/metrics"] {
            assert_eq!(gateway.get(path).await.status, 200, "{path}");
        }
        let preflight = gateway.send("OPTIONS", PATH, &[("origin", "https://a.example")], b"");
        assert_eq!(preflight.await.status, 204);
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str())];
        assert_eq!(gateway.send("GET", "/v1/models", &headers, b"").await.status, 200);
    };
    tokio::select! {
        reply = waits => panic!("there was no slot: {reply:?}"),
        () = full => {}
    }
    // Whoever waited has hung up; its place is free again.
    queued(&gateway, 0).await;
}

/// Both slots are held for longer by far than anybody may wait: who comes then need not wait to
/// learn it.
#[tokio::test]
async fn who_could_not_be_served_in_time_is_refused_without_waiting() {
    let slow = fine().first_after(Duration::from_millis(300));
    let variables = [
        ("MAX_CONCURRENT_CONNECTIONS", "2"),
        ("CONNECTION_QUEUE_SIZE", "10"),
        ("QUEUE_TIMEOUT", "100"),
    ];
    let gateway = Gateway::with(Dialect::ZaiWeb, slow, &variables).await;
    let code = |body: &Value| body["error"]["code"].as_str().map(str::to_owned);
    for _ in 0..8 {
        let (one, other) = tokio::join!(ask(&gateway, KEY, false), ask(&gateway, KEY, false));
        assert_eq!((one.status, other.status), (200, 200));
        gateway.until(|gateway| gateway.in_flight() == 0).await;
    }
    gateway.sim.set_plan(stuck());
    let held = [ask(&gateway, KEY, true).await, ask(&gateway, KEY, true).await];
    let refused = ask(&gateway, KEY, false).await;
    assert!(refused.header("retry-after").is_some());
    let body = refused.json().await;
    assert_eq!(code(&body).as_deref(), Some("server_full"), "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("can come free in time"), "{body}");
    drop(held);
}

#[tokio::test]
async fn a_limit_may_follow_the_upstream() {
    let limit = async |gateway: &Gateway| {
        let text = gateway.get("/metrics").await.text().await;
        let line = text.lines().find_map(|line| line.strip_prefix("z2api_requests_limit "));
        line.expect("the gauge").parse::<u64>().unwrap()
    };
    for (adaptive, after) in [("true", 18), ("false", 20)] {
        let busy = faults::detail(429, "too many");
        let variables = [
            ("ADAPTIVE_CONCURRENCY", adaptive),
            ("MAX_CONCURRENT_CONNECTIONS", "20"),
            ("MAX_RETRIES", "0"),
        ];
        let gateway = Gateway::with(Dialect::ZaiWeb, busy, &variables).await;
        assert_eq!(limit(&gateway).await, 20);
        assert_eq!(gateway.chat("GLM-4.5", json!({"stream": true})).await.status, 429);
        assert_eq!(limit(&gateway).await, after, "{adaptive}");
        let status: Value = gateway.get("/status").await.json().await;
        assert_eq!(status["max_connections"], 20, "the setting");
    }
}
