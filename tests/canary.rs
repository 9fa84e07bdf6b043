//! Secrets and message texts come out nowhere: logs at the finest level, errors, status, metrics.
//!
//! A test of its own, since what libraries say goes to one place for the whole process.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use z2api_observability::{LogSink, MemoryLog, subscriber};
use z2api_tests::{Gateway, PATIENCE};
use z2api_upstream_sim::{Guests, Script, faults, plan_fn};
use z2api_wire::event::Dialect;

const API_KEY: &str = "sk-canary-api-key-7f3a9b";
const WRONG_KEY: &str = "sk-canary-wrong-key-51c2";
const UPSTREAM_TOKEN: &str = "canary-upstream-token-0d4e88";
const ADMIN_KEY: &str = "canary-admin-key-6b1f0a97";
const COLLECTOR_KEY: &str = "canary-collector-key-5d20";
const COLLECTOR_HEADER: &str = "x-key=canary-collector-key-5d20";
const PROXY_PASSWORD: &str = "canary-proxy-password-93";
/// `canary:` and the password, as a proxy is told them.
const PROXY_BASIC: &str = "Y2FuYXJ5OmNhbmFyeS1wcm94eS1wYXNzd29yZC05Mw";
const QUESTION: &str = "canary question about tides";
const SYSTEM: &str = "canary system words";
const IMAGE: &str = "Y2FuYXJ5IGltYWdl";
const ARGUMENTS: &str = "canary tool argument";
const ANSWER: &str = "canary answer of the model";
/// What the upstream says of a failure. The client may read that, the log not.
const UPSTREAM_WORDS: &str = "canary words of the upstream";

/// All that was said where no secret may be.
#[derive(Default)]
struct Heard {
    logs: Vec<String>,
    /// Error bodies, heads of answers, pages.
    shown: Vec<String>,
    /// Tokens of guests.
    guests: BTreeSet<String>,
}

impl Heard {
    fn check(&self) {
        let always = [
            API_KEY,
            WRONG_KEY,
            UPSTREAM_TOKEN,
            ADMIN_KEY,
            COLLECTOR_KEY,
            PROXY_PASSWORD,
            PROXY_BASIC,
            QUESTION,
            SYSTEM,
            IMAGE,
            ARGUMENTS,
            ANSWER,
        ];
        let always: Vec<&str> =
            always.into_iter().chain(self.guests.iter().map(String::as_str)).collect();
        for line in self.logs.iter().chain(&self.shown) {
            for secret in &always {
                assert!(!line.contains(secret), "{secret} in {line}");
            }
        }
        for line in &self.logs {
            assert!(!line.contains(UPSTREAM_WORDS), "the upstream's words in {line}");
        }
    }
}

/// Ways of the upstream to fail, all of them repeating what they were asked with.
fn failures(dialect: Dialect, token: &str) -> Vec<Script> {
    let echo = format!("{UPSTREAM_WORDS}: {token}");
    let refused = |status| match dialect {
        Dialect::ZaiWeb => faults::detail(status, &echo),
        Dialect::OpenAi => faults::api_error(status, "1000", &echo),
    };
    let text = match dialect {
        Dialect::ZaiWeb => format!(
            r#"{{"type":"chat:completion","data":{{"delta_content":"{ANSWER}","phase":"answer"}}}}"#
        ),
        Dialect::OpenAi => {
            format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{ANSWER}"}}}}]}}"#)
        }
    };
    let error = match dialect {
        Dialect::ZaiWeb => faults::web_error_event("INTERNAL_ERROR", &echo),
        Dialect::OpenAi => faults::api_error_event("1234", &echo),
    };
    let stream = |events: &[&str]| Script::events(events.iter().map(|event| (*event).to_owned()));
    let mut all: Vec<Script> = [400, 401, 403, 404, 426, 429, 500, 503].map(refused).into();
    all.extend([
        Script::status(403, "text/html", format!("<html>{echo} captcha</html>")),
        Script::status(200, "text/html", format!("<html>{echo}</html>")),
        Script::status(200, "application/json", json!({"a": echo}).to_string()),
        faults::redirect(&format!("/elsewhere?token={token}")),
        faults::empty(),
        stream(&[&error]),
        stream(&[&text, &error]),
        stream(&[&text, &format!("{{\"odd\":\"{echo}\"}}")]),
        stream(&[&text, &format!("not JSON: {echo}")]),
        stream(&[&text]).cut_after(1),
        stream(&[&text]).reset_after(1),
        stream(&[&text, &text]),
    ]);
    all
}

fn chat(stream: bool) -> Value {
    json!({"model": "GLM-4.5", "stream": stream, "messages": [
        {"role": "system", "content": SYSTEM},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "f", "arguments": json!({"a": ARGUMENTS}).to_string()}}]},
        {"role": "tool", "tool_call_id": "c", "content": QUESTION},
        {"role": "user", "content": QUESTION},
    ]})
}

fn plain(stream: bool) -> Value {
    json!({"model": "GLM-4.5", "stream": stream, "max_tokens": 9, "input": QUESTION,
        "messages": [{"role": "user", "content": QUESTION}]})
}

fn image() -> Value {
    json!({"model": "GLM-4.5V", "messages": [{"role": "user", "content": [
        {"type": "text", "text": QUESTION},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{IMAGE}")}},
    ]}]})
}

async fn say(gateway: &Gateway, heard: &mut Heard, path: &str, key: &str, body: &str) {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("x-api-key", key), ("cookie", key)];
    let reply = gateway.send("POST", path, &headers, body.as_bytes()).await;
    heard.shown.push(format!("{:?}", reply.headers()));
    let refused = reply.status >= 400;
    let is_stream = reply.header("content-type") == Some("text/event-stream");
    if refused {
        heard.shown.push(reply.text().await);
    } else if is_stream {
        let events = reply.events().await;
        heard.shown.extend(events.into_iter().filter(|event| event.contains("\"error\"")));
    }
}

/// What a client may do wrong.
async fn mistakes(gateway: &Gateway, heard: &mut Heard) {
    let path = "/v1/chat/completions";
    say(gateway, heard, path, WRONG_KEY, &plain(false).to_string()).await;
    let half = plain(false).to_string();
    let bodies = [
        half[..half.len() - 9].to_owned(),
        format!("{{\"model\":\"GLM-4.5\",\"messages\":\"{QUESTION}\"}}"),
        format!("{{\"model\":\"GLM-4.5\",\"messages\":[{{\"role\":\"{QUESTION}\"}}]}}"),
        json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": QUESTION}],
            "temperature": 99, "n": 7, "response_format": {"type": "json_object"}})
        .to_string(),
        format!("{QUESTION} is no JSON"),
    ];
    for body in bodies {
        for path in [path, "/v1/messages", "/v1/responses"] {
            say(gateway, heard, path, API_KEY, &body).await;
        }
    }
}

/// A client that goes away within its stream, and one that goes before it begins.
async fn hang_ups(gateway: &Gateway, dialect: Dialect) {
    let stalled = failures(dialect, "").pop().expect("a stream").stall_after(1);
    gateway.sim.set_plan(stalled);
    let bearer = format!("Bearer {API_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let body = plain(true).to_string();
    let mut reply = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
    if reply.status == 200 {
        reply.event().await;
    }
    drop(reply);
    gateway.sim.set_plan(failures(dialect, "").remove(0).head_after(PATIENCE));
    let asking = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
    let _ = tokio::time::timeout(Duration::from_millis(100), asking).await;
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

async fn pages(gateway: &Gateway, heard: &mut Heard) {
    let bearer = format!("Bearer {ADMIN_KEY}");
    for headers in [&[("authorization", bearer.as_str())][..], &[]] {
        for path in ["/status", "/metrics", "/health", "/health/ready", "/dashboard", "/nothing"] {
            let reply = gateway.send("GET", path, headers, b"").await;
            heard.shown.push(format!("{:?}", reply.headers()));
            heard.shown.push(reply.text().await);
        }
    }
}

/// Tokens of guests that the simulated upstream gave out.
fn guests(gateway: &Gateway) -> Vec<String> {
    let chats = gateway.sim.chats();
    let bearers = chats.iter().filter_map(|chat| chat.header("authorization"));
    bearers.filter_map(|bearer| bearer.strip_prefix("Bearer ")).map(str::to_owned).collect()
}

/// Asks in every way, while the upstream fails in this one.
async fn ask_all(gateway: &Gateway, heard: &mut Heard) {
    for stream in [false, true] {
        say(gateway, heard, "/v1/chat/completions", API_KEY, &plain(stream).to_string()).await;
    }
    say(gateway, heard, "/v1/chat/completions", API_KEY, &chat(true).to_string()).await;
    say(gateway, heard, "/v1/chat/completions", API_KEY, &image().to_string()).await;
    say(gateway, heard, "/v1/messages", API_KEY, &plain(true).to_string()).await;
    say(gateway, heard, "/v1/responses", API_KEY, &plain(false).to_string()).await;
}

/// One gateway for each failure: a token that was refused would not be used again.
async fn tour(dialect: Dialect, variables: &[(&str, &str)], heard: &mut Heard) {
    let mut kinds = BTreeSet::new();
    let begin = Gateway::with(dialect, faults::empty(), variables).await;
    mistakes(&begin, heard).await;
    hang_ups(&begin, dialect).await;
    heard.logs.extend(begin.log.lines());
    for failure in 0..failures(dialect, "").len() {
        let plan = plan_fn(move |asked| {
            let bearer = asked.header("authorization").unwrap_or_default();
            failures(dialect, bearer.trim_start_matches("Bearer ")).swap_remove(failure)
        });
        let gateway = Gateway::with(dialect, plan, variables).await;
        ask_all(&gateway, heard).await;
        gateway.sim.revoke_guests();
        gateway.sim.guests(Guests::Status(500));
        say(&gateway, heard, "/v1/messages", API_KEY, &plain(true).to_string()).await;
        pages(&gateway, heard).await;
        let answered = gateway.lines("response", 7).await;
        kinds.extend(answered.iter().map(|line| line["error_kind"].to_string()));
        heard.guests.extend(guests(&gateway));
        heard.logs.extend(gateway.log.lines());
    }
    let has_proxy =
        variables.iter().any(|(name, value)| *name == "UPSTREAM_PROXY" && !value.is_empty());
    assert!(kinds.len() > if has_proxy { 1 } else { 9 }, "a wide run: {kinds:?}");
}

/// Everything of the process that speaks by `tracing`, at the finest level.
fn listen() -> (MemoryLog, z2api_observability::LogGuard) {
    let (sink, log, guard) = LogSink::memory();
    let (all, _filter) = subscriber(sink, "trace").expect("a filter");
    z2api_tests::listen_as(all);
    (log, guard)
}

#[tokio::test]
async fn no_secret_and_no_message_comes_out_anywhere() {
    let (traced, guard) = listen();
    let mut heard = Heard::default();
    let proxy = format!("http://canary:{PROXY_PASSWORD}@127.0.0.1:1");
    let common = [
        ("DEFAULT_KEY", API_KEY),
        ("ADMIN_KEY", ADMIN_KEY),
        // Nobody listens there: that the spans cannot be sent is told in the log.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", COLLECTOR_HEADER),
        ("MAX_RETRIES", "1"),
        ("REQUEST_TIMEOUT", "30000"),
    ];
    for (dialect, token, proxy) in [
        (Dialect::OpenAi, UPSTREAM_TOKEN, ""),
        (Dialect::ZaiWeb, UPSTREAM_TOKEN, ""),
        (Dialect::ZaiWeb, "", ""),
        (Dialect::OpenAi, UPSTREAM_TOKEN, proxy.as_str()),
    ] {
        let own = [("UPSTREAM_TOKEN", token), ("UPSTREAM_PROXY", proxy)];
        tour(dialect, &[&common[..], &own].concat(), &mut heard).await;
    }
    assert!(heard.guests.iter().any(|token| token != UPSTREAM_TOKEN), "guests were there");
    drop(guard);
    let traced = traced.lines();
    assert!(traced.iter().any(|line| line.contains("\"level\":\"TRACE\"")), "the finest level");
    heard.logs.extend(traced);
    heard.check();
}
