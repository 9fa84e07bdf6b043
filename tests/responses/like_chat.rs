//! The same script of the upstream, asked by Chat Completions and by the Responses API: the same words,
//! usage, errors and records, case by case.

use std::time::Duration;

use serde_json::{Value, json};
use z2api_tests::{Gateway, LONG, Reply, cases};
use z2api_upstream_sim::{Script, faults};
use z2api_wire::event::Dialect;

use crate::ask;
use crate::learnt::Learnt;

/// Asks both APIs, each of a gateway of its own: a refusal may give a token a rest.
async fn check_same(name: &str, dialect: Dialect, script: &Script) {
    for stream in [true, false] {
        let gateway = || Gateway::with(dialect, script.clone(), &[("MAX_RETRIES", "0")]);
        let (chats, ours) = (gateway().await, gateway().await);
        let chat = (by_chat(&chats, stream).await, record(&chats).await);
        let response = (by_responses(&ours, stream).await, record(&ours).await);
        assert_eq!(response, chat, "{name}, {}", if stream { "streamed" } else { "whole" });
    }
}

/// The same, where time runs out after so many events.
async fn check_late(variable: &str, script: &Script, events: u64) {
    for stream in [true, false] {
        let variables = [("MAX_RETRIES", "0"), ("LOG_PROBES", "false"), (variable, LONG)];
        let gateway = || Gateway::with(Dialect::OpenAi, script.clone(), &variables);
        let (chats, ours) = (gateway().await, gateway().await);
        let chat = chats.out_of_time(events, by_chat(&chats, stream)).await;
        let response = ours.out_of_time(events, by_responses(&ours, stream)).await;
        assert_eq!(response, chat, "{variable}, {}", if stream { "streamed" } else { "whole" });
        assert_eq!(record(&ours).await, record(&chats).await, "{variable}");
    }
}

/// Some of its headers, and what it says.
type Answered = ([Option<String>; 4], Learnt);

async fn by_chat(gateway: &Gateway, stream: bool) -> Answered {
    let fields = json!({"stream": stream, "reasoning_format": "reasoning",
        "stream_options": stream.then(|| json!({"include_usage": true}))});
    let reply = gateway.chat("GLM-4.6", fields).await;
    (headers(&reply), Learnt::of_chat(reply).await)
}

async fn by_responses(gateway: &Gateway, stream: bool) -> Answered {
    let reply = ask(gateway, json!({"stream": stream})).await;
    (headers(&reply), Learnt::of_responses(reply).await)
}

fn headers(reply: &Reply) -> [Option<String>; 4] {
    ["retry-after", "x-should-retry", "content-type", "cache-control"]
        .map(|name| reply.header(name).map(str::to_owned))
}

/// What is noted of the one request.
async fn record(gateway: &Gateway) -> [Value; 5] {
    let line = gateway.lines("response", 1).await.remove(0);
    ["status_code", "level", "error", "error_kind", "error_owner"].map(|field| line[field].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_means_the_same_in_both() {
    for case in cases() {
        let script = Script::sse(case.bytes.clone());
        check_same(&case.name, case.dialect, &script).await;
        check_same(&case.name, case.dialect, &script.event_by_event()).await;
    }
}

pub(crate) fn web() -> Script {
    Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"half","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ])
}

pub(crate) fn api() -> Script {
    Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":" of it"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_and_every_break_of_the_upstream_is_the_same_in_both() {
    let status = |code: u16, body: &str| Script::status(code, "application/json", body);
    let web_cases = [
        ("captcha", faults::web_error("FRONTEND_CAPTCHA_REQUIRED", "Reload the page.")),
        ("version", faults::web_error("426", "Too old.")),
        ("firewall", faults::firewall_page()),
        ("busy", faults::web_error("MODEL_CONCURRENCY_LIMIT", "in use")),
        ("429", status(429, "{}").header("retry-after", "7")),
        ("400", status(400, r#"{"detail":"no such parameter"}"#)),
        ("401", faults::detail(401, "expired")),
        ("503", Script::status(503, "text/html", "<html>down</html>")),
        ("empty", faults::empty()),
        ("redirect", faults::redirect("http://127.0.0.1:9/")),
        ("gzip", web().gzip()),
        ("page", Script::status(200, "text/html", "<html>hello</html>")),
        ("cut", web().cut_after(1)),
        ("reset", web().reset_after(1)),
    ];
    for (name, script) in web_cases {
        check_same(name, Dialect::ZaiWeb, &script).await;
    }
    let refused = |code: &str| {
        let error =
            json!({"error": {"code": code, "message": "The upstream says no."}}).to_string();
        let first = r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#.to_owned();
        Script::events([first, error])
    };
    for code in ["1234", "1302", "1113", "1261", "1301", "1211", "invalid_api_key", "unheard_of"] {
        check_same(code, Dialect::OpenAi, &faults::api_error(400, code, "No.")).await;
        check_same(&format!("{code}, later"), Dialect::OpenAi, &refused(code)).await;
    }
    check_same("cut", Dialect::OpenAi, &api().cut_after(1)).await;
}

#[tokio::test]
async fn an_answer_that_runs_out_of_time_is_the_same_in_both() {
    let silent = api().head_after(Duration::from_secs(600));
    check_late("REQUEST_TIMEOUT", &silent, 0).await;
    for variable in ["STREAM_IDLE_TIMEOUT", "STREAM_TIMEOUT", "MAX_CONNECTION_TIME"] {
        check_late(variable, &api().stall_after(1), 1).await;
    }
}
