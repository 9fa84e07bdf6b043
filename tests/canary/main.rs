//! Secrets and message texts come out nowhere: logs at the finest level, errors, status, metrics,
//! traces, panics. `slots` tells where they are put in, and `heard` where they may come.
//!
//! A test of its own, since what libraries say goes to one place for the whole process.

mod asked;
mod heard;
mod receiver;
mod slots;
mod upstream;

use std::collections::BTreeSet;
use std::time::Duration;

use z2api_observability::{LogGuard, LogSink, MemoryLog, subscriber};
use z2api_tests::{Gateway, PATIENCE, listen_as};
use z2api_upstream_sim::{Guests, Sim, faults, plan_fn};
use z2api_wire::event::Dialect;

use asked::CHAT;
use heard::Heard;
use receiver::Receiver;
use slots::secret;

const NUMBERS: [&str; 2] = ["/status", "/metrics"];

/// The settings of a gateway.
type Variables<'a> = [(&'a str, &'a str)];

async fn say(gateway: &Gateway, heard: &mut Heard, path: &str, more: &Variables<'_>, body: &str) {
    let bearer = format!("Bearer {}", secret("api-key"));
    let (own, cookie, baggage) = (secret("x-api-key"), secret("cookie"), secret("baggage"));
    let auth = match path.starts_with("/v1/messages") {
        true => ("x-api-key", own.as_str()),
        false => ("authorization", bearer.as_str()),
    };
    let headers = [&[auth, ("cookie", &cookie), ("baggage", &baggage)], more].concat();
    heard.reply(gateway.send("POST", path, &headers, body.as_bytes()).await).await;
}

/// What a client may do wrong.
async fn mistakes(gateway: &Gateway, heard: &mut Heard) {
    let plain = asked::plain().to_string();
    let wrong = format!("Bearer {}", secret("wrong-key"));
    let in_query = format!("{CHAT}?key={}", secret("query-key"));
    let half = format!("Basic {}", secret("wrong-key"));
    for (path, headers) in [
        (CHAT, vec![("authorization", wrong.as_str())]),
        (CHAT, vec![("authorization", half.as_str())]),
        ("/v1/messages", vec![("x-api-key", wrong.as_str())]),
        (in_query.as_str(), vec![]),
    ] {
        heard.reply(gateway.send("POST", path, &headers, plain.as_bytes()).await).await;
    }
    say(gateway, heard, &in_query, &[], &plain).await;
    for body in asked::mistakes() {
        for path in
            [CHAT, "/v1/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"]
        {
            say(gateway, heard, path, &[], &body).await;
        }
    }
}

/// A client that goes away within its stream, and one that goes before it begins.
async fn hang_ups(gateway: &Gateway, dialect: Dialect) {
    let bearer = format!("Bearer {}", secret("api-key"));
    let headers = [("authorization", bearer.as_str())];
    let (_, body) = asked::all(true).remove(1);
    let body = body.to_string();
    gateway.sim.set_plan(upstream::stuck(dialect));
    let mut reply = gateway.send("POST", CHAT, &headers, body.as_bytes()).await;
    if reply.status == 200 {
        reply.event().await;
    }
    drop(reply);
    gateway.sim.set_plan(upstream::stuck(dialect).head_after(PATIENCE));
    let asking = gateway.send("POST", CHAT, &headers, body.as_bytes());
    let _ = tokio::time::timeout(Duration::from_millis(100), asking).await;
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

/// Faults of the gateway's own, in each API. Only a debug build has them on request.
async fn panics(gateway: &Gateway, heard: &mut Heard, dialect: Dialect) {
    gateway.sim.set_plan(upstream::whole(dialect));
    for place in ["handler", "stream"] {
        for (path, body) in asked::all(true) {
            say(gateway, heard, path, &[("x-test-panic", place)], &body.to_string()).await;
        }
    }
}

/// Everything that can be looked at, with and without the operator's key.
async fn pages(gateway: &Gateway, heard: &mut Heard) {
    let bearer = format!("Bearer {}", secret("admin-key"));
    let in_query = format!("?key={}", secret("query-key"));
    for headers in [&[("authorization", bearer.as_str())][..], &[]] {
        for page in
            ["/health", "/health/ready", "/dashboard", "/nothing", "/v1/models", "/v1/responses/r"]
                .iter()
                .chain(&NUMBERS)
        {
            for query in ["", in_query.as_str()] {
                let path = format!("{page}{query}");
                heard.page(gateway.send("GET", &path, headers, b"").await).await;
            }
        }
    }
}

/// The operator's numbers.
async fn numbers(gateway: &Gateway, heard: &mut Heard) {
    let bearer = format!("Bearer {}", secret("admin-key"));
    let headers = [("authorization", bearer.as_str())];
    for page in NUMBERS {
        heard.page(gateway.send("GET", page, &headers, b"").await).await;
    }
    live(gateway, heard, 1).await;
}

/// What the live page hears: what has been, then what is now. The latter comes each second.
async fn live(gateway: &Gateway, heard: &mut Heard, events: usize) {
    let bearer = format!("Bearer {}", secret("admin-key"));
    let headers = [("authorization", bearer.as_str())];
    let mut reply = gateway.send("GET", "/dashboard/events", &headers, b"").await;
    for _ in 0..events {
        heard.shown.push(reply.event().await.expect("an event"));
    }
}

/// One gateway for each way to answer: a token that was refused would not be used again.
async fn tour(dialect: Dialect, variables: &Variables<'_>) -> (Heard, BTreeSet<String>) {
    let mut heard = Heard::default();
    let begin = Gateway::with(dialect, faults::empty(), variables).await;
    mistakes(&begin, &mut heard).await;
    hang_ups(&begin, dialect).await;
    panics(&begin, &mut heard, dialect).await;
    pages(&begin, &mut heard).await;
    live(&begin, &mut heard, 2).await;
    heard.end(begin).await;
    let mut kinds = BTreeSet::new();
    for way in 0..upstream::ways(dialect, "").len() {
        let plan = plan_fn(move |asked| {
            upstream::ways(dialect, asked.bearer().unwrap_or_default()).swap_remove(way)
        });
        let gateway = Gateway::with(dialect, plan, variables).await;
        for (path, body) in asked::all(true).into_iter().chain(asked::all(false)) {
            say(&gateway, &mut heard, path, &[], &body.to_string()).await;
        }
        gateway.sim.revoke_guests();
        gateway.sim.guests(Guests::Status(500));
        say(&gateway, &mut heard, CHAT, &[], &asked::plain().to_string()).await;
        numbers(&gateway, &mut heard).await;
        let answered = gateway.lines("response", 2 * asked::all(true).len()).await;
        kinds.extend(answered.iter().map(|line| line["error_kind"].to_string()));
        heard.end(gateway).await;
    }
    (heard, kinds)
}

/// A schema goes to servers of the same shape, other than the official API.
async fn another_server(variables: &Variables<'_>) -> Heard {
    let mut heard = Heard::default();
    let server = Sim::start(upstream::whole(Dialect::OpenAi)).await.expect("a server");
    let url = server.openai_url().replace("/paas/", "/other/");
    let variables = [variables, &[("UPSTREAM_URL", url.as_str())]].concat();
    let gateway = Gateway::with(Dialect::OpenAi, faults::empty(), &variables).await;
    say(&gateway, &mut heard, CHAT, &[], &asked::schema().to_string()).await;
    heard.upstream(&server);
    heard.end(gateway).await;
    heard
}

/// Everything of the process that speaks by `tracing`, at the finest level.
fn listen() -> (MemoryLog, LogGuard) {
    let (sink, log, guard) = LogSink::memory();
    let (all, _filter) = subscriber(sink, "trace").expect("a filter");
    listen_as(all);
    (log, guard)
}

#[tokio::test]
async fn no_secret_and_no_message_comes_out_anywhere() {
    let (traced, guard) = listen();
    let collectors = [
        Receiver::start("200 OK", "").await,
        Receiver::start("400 Bad Request", &secret("collector-words")).await,
    ];
    let proxy = Receiver::start("502 Bad Gateway", &secret("proxy-words")).await;
    let proxy_url = format!("http://canary:{}@{}", secret("proxy-password"), proxy.address);
    let keys = format!("{},{}", secret("api-key"), secret("x-api-key"));
    let (admin, token) = (secret("admin-key"), secret("upstream-token"));
    let collector_header = format!("x-key={}", secret("collector-key"));
    let common = [
        ("DEFAULT_KEY", keys.as_str()),
        ("ADMIN_KEY", &admin),
        ("OTEL_EXPORTER_OTLP_HEADERS", &collector_header),
        ("THINK_TAGS_MODE", "reasoning"),
        ("MAX_RETRIES", "1"),
        ("REQUEST_TIMEOUT", "30000"),
    ];
    let direct = [common.as_slice(), &[("UPSTREAM_TOKEN", &token)]].concat();
    let mut heard = another_server(&direct).await;
    let tours = [
        (Dialect::OpenAi, token.as_str(), "", &collectors[0]),
        (Dialect::ZaiWeb, &token, "", &collectors[1]),
        (Dialect::ZaiWeb, "", "", &collectors[0]),
        (Dialect::OpenAi, &token, &proxy_url, &collectors[1]),
    ];
    let tours = tours.map(async |(dialect, token, proxy, collector)| {
        let endpoint = format!("http://{}", collector.address);
        let own = [
            ("UPSTREAM_TOKEN", token),
            ("UPSTREAM_PROXY", proxy),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ];
        let (heard, kinds) = tour(dialect, &[&common[..], &own].concat()).await;
        let least = if proxy.is_empty() { 9 } else { 1 };
        assert!(kinds.len() > least, "a wide run: {kinds:?}");
        heard
    });
    futures::future::join_all(tours).await.into_iter().for_each(|one| heard.add(one));
    heard.collector = collectors.iter().map(Receiver::heard).collect();
    heard.proxy = proxy.heard();
    drop(guard);
    let traced = traced.lines();
    let count = |words: &str| traced.iter().filter(|line| line.contains(words)).count();
    assert!(count("\"level\":\"TRACE\"") > 0, "the finest level");
    assert!(count("\"type\":\"panic\"") > 0 || !cfg!(debug_assertions), "panics");
    assert!(count("\"type\":\"log_dropped\"") == 0, "all of it");
    heard.logs.extend(traced);
    heard.check();
}
