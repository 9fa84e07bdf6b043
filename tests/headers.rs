//! Every answer says what it is called and where its time went, whoever gives it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use z2api_tests::web::fine;
use z2api_tests::{Gateway, KEY, Raw, answers};
use z2api_wire::event::Dialect;

const CHATS: [&str; 4] =
    ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"];

/// What there is to answer on: method, path, more headers, body, and the status of the answer.
type Asked = (&'static str, String, Vec<(&'static str, String)>, String, u16);

fn key() -> (&'static str, String) {
    ("authorization", format!("Bearer {KEY}"))
}

fn plain(method: &'static str, path: &str, status: u16) -> Asked {
    (method, path.to_owned(), vec![key()], String::new(), status)
}

fn question(path: &str, stream: bool) -> String {
    let mut body = json!({"model": "GLM-4.5", "stream": stream});
    let (field, text) = match path {
        "/v1/completions" => ("prompt", json!("How do tides work?")),
        "/v1/responses" => ("input", json!("How do tides work?")),
        _ => ("messages", json!([{"role": "user", "content": "How do tides work?"}])),
    };
    body[field] = text;
    if path == "/v1/messages" {
        body["max_tokens"] = json!(9);
    }
    body.to_string()
}

fn asked() -> Vec<Asked> {
    let mut all = vec![
        plain("GET", "/v1/models", 200),
        plain("HEAD", "/v1/models", 200),
        plain("GET", "/models/GLM-4.5", 200),
        plain("GET", "/v1/models/none", 404),
        plain("GET", "/health", 200),
        plain("GET", "/health/live", 200),
        plain("GET", "/health/ready", 200),
        plain("GET", "/status", 200),
        plain("GET", "/metrics", 200),
        plain("GET", "/dashboard", 200),
        plain("GET", "/dashboard/", 308),
        plain("GET", "/dashboard/main.js", 200),
        plain("GET", "/dashboard/events", 200),
        plain("GET", "/nothing", 404),
        plain("POST", "/v1/embeddings", 404),
        plain("PATCH", "/health", 405),
        plain("TRACE", "/health", 405),
        plain("GET", &format!("/{}", "x".repeat(9000)), 414),
        ("GET", "/v1/models".into(), vec![], String::new(), 401),
        ("POST", CHATS[0].into(), vec![], "{}".into(), 401),
        ("POST", CHATS[0].into(), vec![key()], "{".into(), 400),
        ("POST", CHATS[0].into(), vec![key(), ("content-encoding", "br".into())], "{}".into(), 415),
        ("OPTIONS", CHATS[0].into(), vec![("origin", "http://a".into())], String::new(), 204),
        ("POST", "/v1/messages/count_tokens".into(), vec![key()], question("", false), 200),
        plain("GET", "/v1/responses/none", 404),
        plain("DELETE", "/v1/responses/none", 404),
    ];
    for path in CHATS {
        for stream in [true, false] {
            all.push(("POST", path.into(), vec![key()], question(path, stream), 200));
        }
    }
    // A release build has no faults on request.
    if cfg!(debug_assertions) {
        for (path, panics) in [
            ("/v1/models", "route"),
            ("/health", "route"),
            (CHATS[0], "handler"),
            (CHATS[2], "handler"),
        ] {
            let method = if panics == "route" { "GET" } else { "POST" };
            let headers = vec![key(), ("x-test-panic", panics.to_owned())];
            all.push((method, path.into(), headers, question(path, false), 500));
        }
    }
    all
}

/// The parts of a `Server-Timing`.
fn parts(timing: &str) -> Vec<&str> {
    let part = |part: &'_ str| {
        let took = part.split_once(";dur=").map(|(_, took)| took.parse::<f64>());
        assert!(matches!(took, Some(Ok(_))), "{timing}");
    };
    timing.split(", ").inspect(|each| part(each)).collect()
}

fn is_id(id: &str) -> bool {
    let digits = id.strip_prefix("req_").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn every_answer_has_an_id_that_is_in_the_log_and_its_times() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let mut ids = BTreeSet::new();
    let asked = asked();
    let count = asked.len();
    for (method, path, headers, body, status) in asked {
        let name = format!("{method} {path:.40} {body:.60}");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = gateway.send(method, &path, &headers, body.as_bytes()).await;
        assert_eq!(reply.status, status, "{name}");
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("no id: {name}"));
        assert!(is_id(id) && ids.insert(id.to_owned()), "{name}: {id}");
        let timing = reply.header("server-timing").unwrap_or_else(|| panic!("no times: {name}"));
        assert!(parts(timing).last().unwrap().starts_with("gateway;"), "{name}: {timing}");
        // The page's stream ends with its reader.
        if path != "/dashboard/events" {
            reply.text().await;
        }
    }
    let lines = gateway.lines("response", count).await;
    let logged: BTreeSet<String> =
        lines.iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(logged, ids);
}

#[tokio::test]
async fn a_kept_response_has_them_and_so_has_its_deletion() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = key();
    let headers = [(key.0, key.1.as_str())];
    let made = gateway.send("POST", CHATS[3], &headers, question(CHATS[3], false).as_bytes()).await;
    let path = format!("{}/{}", CHATS[3], made.json().await["id"].as_str().unwrap());
    for method in ["GET", "DELETE"] {
        let reply = gateway.send(method, &path, &headers, b"").await;
        assert_eq!(reply.status, 200, "{method}");
        assert!(is_id(reply.header("x-request-id").unwrap()));
        parts(reply.header("server-timing").unwrap());
    }
}

/// What a connection got, and whether each answer of it is as it should be.
fn check(got: &[u8], status: u16, code: &str) {
    let all = answers(got);
    let answer = all.last().expect("an answer");
    assert_eq!(answer.status, status, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], code);
    let value = |name: &str| {
        let line = answer.head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", answer.head))
    };
    assert!(is_id(value("x-request-id: ")));
    assert_eq!(parts(value("server-timing: ")).len(), 1);
}

#[tokio::test]
async fn an_answer_that_no_request_led_to_has_them_too() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("CLIENT_HEAD_TIMEOUT", "2000")]).await;
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    for (said, status, code) in [
        ("no request\r\n\r\n", 400, "malformed_request"),
        (large.as_str(), 431, "head_too_large"),
        ("GET /hea", 408, "request_timeout"),
    ] {
        let mut peer = Raw::connect(gateway.address).await;
        peer.send(said).await;
        check(&peer.to_the_end().await, status, code);
    }
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("MAX_CLIENT_CONNECTIONS", "1")]).await;
    // One, and those that may hear that it is one too many.
    let _silent = gateway.silent(1 + 64).await;
    let mut peer = Raw::connect(gateway.address).await;
    check(&peer.to_the_end().await, 503, "too_many_connections");
}

#[tokio::test]
async fn an_answer_of_no_request_names_the_origins_that_are_listed() {
    let listed = [("CORS_ALLOW_ORIGINS", "http://a.example")];
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &listed).await;
    let mut peer = Raw::connect(gateway.address).await;
    peer.send("no request\r\n\r\n").await;
    let answers = answers(&peer.to_the_end().await);
    assert!(answers[0].has("vary: origin"), "{}", answers[0].head);
    assert!(!answers[0].head.contains("access-control-allow-origin"), "{}", answers[0].head);
}
