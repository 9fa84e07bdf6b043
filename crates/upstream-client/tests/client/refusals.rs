//! Each way the upstream refuses, the error it gives, and how often it is asked.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use z2api_upstream_client::{Client, Dialect};
use z2api_upstream_sim::{Script, Sim, faults};

use crate::support::{TOKEN, ask, framed, settings, settings_for, web_text};

/// One first attempt and three retries.
const RETRIED: usize = 4;

/// The error that an answer gives, and how many requests reach the upstream.
async fn check(dialect: Dialect, script: Script, kind: &str, asked: usize) {
    let told = format!("{kind}: {script:?}");
    let sim = Sim::start(script).await.unwrap();
    let mut settings = settings(&sim, dialect);
    settings.max_event_bytes = 10_000;
    let failed = ask(&Client::new(settings).unwrap()).await.expect_err(&told);
    assert_eq!(failed.error.kind(), kind, "{:?} {told}", failed.error);
    assert_eq!(sim.chats().len(), asked, "{told}");
    assert_eq!(failed.attempts as usize, asked, "{told}");
    assert_eq!(failed.error.is_retryable(), asked > 1, "{told}");
    let text = failed.to_string();
    for secret in [TOKEN, "://", "<", "a question of mine"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn page(status: u16) -> Script {
    Script::status(status, "text/html; charset=utf-8", "<html>a page</html>")
}

#[tokio::test]
async fn the_web_chat_keeping_programs_out_is_never_asked_again() {
    let web = Dialect::ZaiWeb;
    check(web, faults::web_error(426, "too old"), "upstream_client_version", 1).await;
    check(web, faults::detail(426, "too old"), "upstream_client_version", 1).await;
    let captcha = "FRONTEND_CAPTCHA_REQUIRED";
    check(web, faults::web_error(captcha, "refresh"), "upstream_captcha_required", 1).await;
    check(web, Script::status(403, "text/plain", captcha), "upstream_captcha_required", 1).await;
    check(web, faults::firewall_page(), "upstream_firewall", 1).await;
    check(web, page(200), "upstream_firewall", 1).await;
    check(web, page(403), "upstream_firewall", 1).await;
    let signature = "403: Signature validation failed: 签名验证失败";
    check(web, faults::detail(400, signature), "upstream_signature_required", 1).await;
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        check(dialect, faults::detail(500, "oh"), "upstream_error", RETRIED).await;
        check(dialect, page(502), "upstream_error", RETRIED).await;
        check(dialect, faults::detail(429, "slow down"), "upstream_rate_limited", RETRIED).await;
        check(dialect, faults::empty(), "upstream_empty", RETRIED).await;
        check(dialect, Script::events(["[DONE]"]), "upstream_empty", RETRIED).await;
        check(dialect, Script::sse(": ping\n\n"), "upstream_empty", RETRIED).await;
        let cut = Script::events([web_text("x")]).cut_after(0);
        check(dialect, cut, "upstream_disconnected", RETRIED).await;
        let reset = Script::events([web_text("x")]).reset_after(0);
        check(dialect, reset, "upstream_disconnected", RETRIED).await;
    }
    let web = Dialect::ZaiWeb;
    check(web, faults::web_error("INTERNAL_ERROR", "oh"), "upstream_error", RETRIED).await;
    let busy = faults::web_error("MODEL_CONCURRENCY_LIMIT", "busy");
    check(web, busy, "upstream_rate_limited", RETRIED).await;
    let busy = faults::web_error("X", "当前并发数过高");
    check(web, busy, "upstream_rate_limited", RETRIED).await;
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        check(dialect, faults::detail(400, "bad"), "bad_request", 1).await;
        check(dialect, faults::detail(401, "who?"), "upstream_unauthorized", 1).await;
        check(dialect, faults::detail(403, "no"), "upstream_error", 1).await;
        check(dialect, faults::detail(404, "no"), "upstream_error", 1).await;
    }
}

#[tokio::test]
async fn the_code_decides_about_a_429() {
    let api = Dialect::OpenAi;
    let limited = faults::api_error(429, "1302", "slow down");
    check(api, limited, "upstream_rate_limited", RETRIED).await;
    check(api, faults::api_error(429, "1113", "arrears"), "upstream_quota_exhausted", 1).await;
    check(api, faults::api_error(429, "1308", "cap"), "upstream_quota_exhausted", 1).await;
    check(api, faults::api_error(429, "1313", "fair use"), "upstream_error", 1).await;
}

#[tokio::test]
async fn the_official_codes_give_their_errors() {
    let api = Dialect::OpenAi;
    check(api, faults::api_error(401, "1000", "m"), "upstream_unauthorized", 1).await;
    check(api, faults::api_error(400, "1214", "m"), "bad_request", 1).await;
    check(api, faults::api_error(404, "1211", "m"), "model_not_found", 1).await;
    check(api, faults::api_error(400, "1261", "m"), "context_length_exceeded", 1).await;
    check(api, faults::api_error(400, "1301", "m"), "content_filter", 1).await;
    check(api, faults::api_error(400, "1234", "m"), "upstream_error", RETRIED).await;
    check(api, faults::api_error(200, "1302", "m"), "upstream_rate_limited", RETRIED).await;
    let event = Script::events([r#"{"error":{"code":1301,"message":"m"}}"#]);
    check(api, event, "content_filter", 1).await;
}

#[tokio::test]
async fn what_is_no_stream_is_not_taken_for_one() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let json = Script::status(200, "application/json", r#"{"id":"x","choices":[]}"#);
        check(dialect, json, "upstream_not_a_stream", 1).await;
        let plain = Script::status(200, "text/plain", "data: x\n\n");
        check(dialect, plain, "upstream_not_a_stream", 1).await;
        let gzip = Script::events([web_text("x")]).gzip();
        check(dialect, gzip, "upstream_not_a_stream", 1).await;
        let elsewhere = faults::redirect("http://127.0.0.1:1/");
        check(dialect, elsewhere, "upstream_redirected", 1).await;
        check(dialect, Script::events(["{nonsense"]), "upstream_malformed", 1).await;
        let endless = format!("data: {}", "x".repeat(20_000));
        check(dialect, Script::sse(endless), "upstream_malformed", 1).await;
    }
    check(Dialect::OpenAi, page(200), "upstream_not_a_stream", 1).await;
}

#[tokio::test]
async fn retry_after_that_does_not_fit_the_deadline_is_passed_on_at_once() {
    for header in ["3600", "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let refusal = faults::detail(429, "slow down").header("retry-after", header);
        let sim = Sim::start(refusal).await.unwrap();
        let client = Client::new(settings(&sim, Dialect::ZaiWeb)).unwrap();
        let failed = ask(&client).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_rate_limited", 1));
        assert!(failed.error.retry_after().unwrap() >= Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let refusal = faults::detail(503, "later").header("retry-after", "0");
    check(Dialect::ZaiWeb, refusal, "upstream_error", RETRIED).await;
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    drop(listener);
    let failed = ask(&Client::new(settings_for(&url)).unwrap()).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_connect", 4));
}

#[tokio::test]
async fn a_peer_that_speaks_no_http_is_a_broken_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let peer = tokio::spawn(async move {
        let mut accepted = 0;
        while accepted < 4 {
            let (mut socket, _) = listener.accept().await.unwrap();
            accepted += 1;
            socket.write_all(framed(&["no http"]).as_bytes()).await.unwrap();
        }
        accepted
    });
    let failed = ask(&Client::new(settings_for(&url)).unwrap()).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_disconnected", 4));
    assert_eq!(peer.await.unwrap(), 4);
}
