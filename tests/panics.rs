//! Faults of our own: each costs one request. A debug build panics on request; a release build has
//! nothing of that, and nothing of these tests.
#![cfg(debug_assertions)]

use serde_json::{Value, json};
use z2api_tests::web::{END, PIECE};
use z2api_tests::{Gateway, KEY, Raw, Reply, chat_request};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const CHAT: &str = "/v1/chat/completions";
async fn gateway(plan: Script) -> Gateway {
    let one_slot = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")];
    Gateway::with(Dialect::ZaiWeb, plan, &one_slot).await
}

fn fine() -> Script {
    Script::events([PIECE, PIECE, END]).pace(std::time::Duration::from_millis(20))
}

async fn ask(gateway: &Gateway, path: &str, stream: bool, panic: &str) -> Reply {
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-test-panic", panic)];
    let body = json!({"model": "GLM-4.5", "stream": stream, "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}]});
    gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
}

/// The slot is back, the log has one line that says what happened, and the gateway goes on.
async fn costs_no_more_than_that(gateway: &Gateway, status: u16) {
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!((&line["status_code"], &line["level"]), (&json!(status), &json!("ERROR")));
    assert_eq!(line["error"], "a panic within the gateway");
    let metrics = gateway.get("/metrics").await.text().await;
    assert!(metrics.contains("z2api_failures_total{kind=\"panic\"} 1"), "{metrics}");
    let reply = ask(gateway, CHAT, true, "none").await;
    assert_eq!(reply.events().await.last().unwrap(), "[DONE]");
    assert!(!gateway.log.lines().concat().contains("secret words"));
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_and_gives_the_slot_back() {
    for stream in [true, false] {
        let gateway = gateway(fine()).await;
        let reply = ask(&gateway, CHAT, stream, "handler").await;
        assert_eq!(reply.status, 500);
        assert!(reply.header("x-request-id").is_some());
        assert_eq!(reply.json().await["error"]["code"], "internal_error");
        costs_no_more_than_that(&gateway, 500).await;
    }
}

#[tokio::test]
async fn a_panic_before_it_is_known_who_answers_is_a_500_like_any_other() {
    let gateway = gateway(fine()).await;
    let reply = gateway.send("GET", "/v1/models", &[("x-test-panic", "route")], b"").await;
    assert_eq!(reply.status, 500);
    assert!(reply.header("server-timing").is_some());
    let id = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(reply.json().await["error"]["code"], "internal_error");
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!((&line["status_code"], &line["request_id"]), (&json!(500), &json!(id)));
}

#[tokio::test]
async fn the_500_is_worded_as_its_api_words_errors() {
    let gateway = gateway(fine()).await;
    let reply = ask(&gateway, "/v1/messages", false, "handler").await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.json().await["type"], "error");
}

#[tokio::test]
async fn a_panic_within_a_stream_is_an_error_event_and_no_ending() {
    let gateway = gateway(fine()).await;
    let reply = ask(&gateway, CHAT, true, "stream").await;
    assert_eq!(reply.status, 200);
    let events = reply.events().await;
    assert!(events[0].contains("\"role\""), "{events:?}");
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "internal_error");
    assert!(!events.iter().any(|event| event == "[DONE]" || event.contains("\"stop\"")));
    costs_no_more_than_that(&gateway, 200).await;
    assert_eq!(gateway.sim.open_streams(), 0, "the upstream is let go");
}

#[tokio::test]
async fn a_stream_that_cannot_say_that_it_broke_does_not_look_whole() {
    let gateway = gateway(fine()).await;
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(chat_request(true, "x-test-panic: twice\r\n")).await;
    let got = String::from_utf8(peer.to_the_end().await).unwrap();
    assert!(got.starts_with("HTTP/1.1 200") && got.contains("\"role\""), "{got}");
    assert!(got.ends_with("\n\n\r\n") && !got.ends_with("\r\n0\r\n\r\n"), "{got}");
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

/// What is due is on a clock that only goes forward. The wall clock dates things, and tells what
/// an upstream's or an operator's date is worth; setting it must not end or prolong anything.
#[test]
fn the_wall_clock_is_read_in_these_places_only() {
    const KNOWN: [&str; 10] = [
        "bins/z2api-server/src/connection/head.rs", // the date of an answer's head
        "bins/z2api-server/src/dashboard/snapshot.rs", // when the page was told
        "bins/z2api-server/src/auth.rs",            // a key's last day
        "bins/z2api-server/src/question.rs",        // when an answer was made
        "bins/z2api-server/src/rate.rs",            // when a key's rate is whole again
        "crates/observability/src/line.rs",         // the date of a log line
        "crates/observability/src/spans/of_request.rs", // the date of a span
        "crates/upstream-client/src/dialect/zai_web.rs", // the date that a prompt may ask for
        "crates/upstream-client/src/reset_time.rs", // "your limit is reset at"
        "crates/upstream-client/src/retry_after.rs", // Retry-After as a date
    ];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut folders: Vec<std::path::PathBuf> =
        ["bins", "crates"].map(|folder| format!("{root}/{folder}").into()).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !name.contains("upstream-sim") {
                folders.push(path);
            } else if name.contains("/src/") && name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let reads = text.contains("SystemTime::now") || text.contains("Timestamp::now");
                assert!(!reads || KNOWN.contains(&name.as_str()), "{name} reads the wall clock");
            }
        }
    }
}
