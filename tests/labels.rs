//! Whatever clients send, the metrics have no series and no word more for it.

use std::collections::BTreeSet;

use serde_json::json;
use z2api_tests::web::{fine, stuck};
use z2api_tests::{Gateway, KEY};
use z2api_wire::event::Dialect;

/// What all names that a client makes up begin with.
const MARK: &str = "madeup";
const ANYTHING: usize = 50;

/// The series of a scrape, without their values.
async fn series(gateway: &Gateway) -> BTreeSet<String> {
    let scrape = gateway.get("/metrics").await.text().await;
    assert!(!scrape.to_ascii_lowercase().contains(MARK), "{scrape}");
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned()).collect()
}

/// One made-up word in every place that a client fills: method, path, query, headers, body.
async fn send_anything(gateway: &Gateway, number: usize) {
    let word = format!("{MARK}{number}");
    let key = format!("Bearer {KEY}");
    let wrong = format!("Bearer sk-{word}-0123456789");
    let good = ("authorization", key.as_str());
    let named = [
        good,
        ("user-agent", word.as_str()),
        ("x-request-id", &word),
        ("x-forwarded-for", &word),
        ("x-z2api-think-mode", &word),
        ("content-type", &word),
        ("origin", &word),
        ("host", &word),
        (&word, &word),
    ];
    let messages = json!([{"role": "user", "content": word}]);
    let body = |model: &str| {
        json!({"model": model, "max_tokens": 9, "messages": messages, "input": word, "prompt": word,
            "user": word, "reasoning_effort": word, "service_tier": word, &word: word})
        .to_string()
    };
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"] {
        for (headers, model) in [
            (&[good][..], word.as_str()),
            (&named, "GLM-4.5"),
            (&[("authorization", wrong.as_str())], "GLM-4.5"),
        ] {
            gateway.send("POST", path, headers, body(model).as_bytes()).await.text().await;
        }
    }
    for (method, path) in [
        ("POST", format!("/{word}")),
        ("GET", format!("/v1/{word}/{word}?{word}={word}")),
        ("GET", format!("/v1/models/{word}")),
        ("DELETE", format!("/v1/responses/{word}")),
        ("GET", format!("/dashboard/{word}")),
        (word.to_ascii_uppercase().as_str(), "/v1/models".to_owned()),
    ] {
        gateway.send(method, &path, &named[..3], b"").await.text().await;
    }
}

#[tokio::test]
async fn the_metrics_do_not_grow_by_what_clients_make_up() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    // Each way to answer has its series from its first time on, a scrape too.
    for number in 0..2 {
        send_anything(&gateway, number).await;
        series(&gateway).await;
    }
    let before = series(&gateway).await;
    for number in 2..2 + ANYTHING {
        send_anything(&gateway, number).await;
    }
    let after = series(&gateway).await;
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(after.len() > 50, "{after:?}");
}

/// The counter-proof: what is new to the gateway itself is a series more.
#[tokio::test]
async fn what_happens_for_the_first_time_is_a_series_more() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    send_anything(&gateway, 0).await;
    let before = series(&gateway).await;
    gateway.sim.set_plan(stuck());
    let mut reply = gateway.chat("GLM-4.6", json!({"stream": true})).await;
    reply.event().await.expect("a chunk");
    drop(reply);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    assert!(series(&gateway).await.difference(&before).count() > 0);
}
