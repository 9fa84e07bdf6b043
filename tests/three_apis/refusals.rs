//! Refusals of the upstream and of the gateway: the same status, words and headers everywhere.

use std::time::Duration;

use serde_json::Value;
use z2api_config::keygen;
use z2api_tests::web::{endless, fine, stuck};
use z2api_tests::{Gateway, KEY, LONG, Reply};
use z2api_upstream_sim::{Plan, Script, faults};
use z2api_wire::event::Dialect;

use crate::api::{APIS, Api, Question};
use crate::heard::{Failure, Outcome, hear};

/// What a refusal is called: its status, OpenAI's type and code, Anthropic's type.
#[derive(Clone, Copy)]
struct Called(u16, &'static str, &'static str, &'static str);

const CALLER: &str = "invalid_request_error";

/// Checks one API's refusal, and answers what all must have in common.
fn check(api: Api, failure: Failure, called: Called) -> (String, Option<String>, Option<String>) {
    let Called(status, kind, code, anthropics) = called;
    assert_eq!(failure.status, status, "{api:?}: {failure:?}");
    match api {
        Api::Chat | Api::Responses => {
            assert_eq!(failure.kind.as_deref(), Some(kind), "{api:?}: {failure:?}");
            assert_eq!(failure.code.as_deref(), Some(code), "{api:?}: {failure:?}");
        }
        Api::Messages => {
            assert_eq!(failure.kind.as_deref(), Some(anthropics), "{failure:?}");
            assert_eq!((&failure.code, &failure.param), (&None, &None));
        }
    }
    (failure.message, failure.retry_after, failure.should_retry)
}

/// Asks a gateway of its own, in every API, streamed and whole.
async fn check_upstream(
    dialect: Dialect,
    plan: impl Plan + Clone,
    variables: &[(&str, &str)],
    called: Called,
) {
    let variables = [&[("MAX_RETRIES", "0")], variables].concat();
    let mut all = Vec::new();
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        let gateway = Gateway::with(dialect, plan.clone(), &variables).await;
        let reply = api.ask(&gateway, &Question::new(stream)).await;
        all.push(check(api, hear(api, reply).await.refused(), called));
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn every_refusal_of_the_official_api_is_the_same_everywhere() {
    let upstream = |code| Called(502, "upstream_error", code, "api_error");
    let caller = |status, code| Called(status, CALLER, code, CALLER);
    let limited = Called(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error");
    let quota = Called(429, "insufficient_quota", "insufficient_quota", "rate_limit_error");
    let unknown = Called(404, CALLER, "model_not_found", "not_found_error");
    for (status, code, called) in [
        (401, "1002", upstream("upstream_unauthorized")),
        (429, "1302", limited),
        (429, "1113", quota),
        (429, "1308", quota),
        (400, "1210", caller(400, "upstream_bad_request")),
        (400, "1211", unknown),
        (400, "1261", caller(400, "context_length_exceeded")),
        (400, "1301", caller(400, "content_filter")),
        (403, "1220", upstream("upstream_error")),
        (500, "500", upstream("upstream_error")),
        (503, "1230", upstream("upstream_error")),
    ] {
        let plan = faults::api_error(status, code, "It says why.");
        check_upstream(Dialect::OpenAi, plan, &[], called).await;
        let within = Script::events([faults::api_error_event(code, "It says why.")]);
        check_upstream(Dialect::OpenAi, within, &[], called).await;
    }
    let waits = Script::status(429, "application/json", "{}").header("retry-after", "7");
    check_upstream(Dialect::OpenAi, waits, &[], limited).await;
    for (plan, code) in [
        (faults::empty(), "upstream_empty"),
        (faults::redirect("http://127.0.0.1:9/"), "upstream_redirected"),
        (Script::status(200, "application/json", "{}"), "upstream_not_a_stream"),
        (Script::status(503, "text/html", "<html>down</html>"), "upstream_error"),
        (fine().gzip(), "upstream_not_a_stream"),
    ] {
        check_upstream(Dialect::OpenAi, plan, &[], upstream(code)).await;
    }
}

#[tokio::test]
async fn every_refusal_of_the_web_chat_is_the_same_everywhere() {
    let upstream = |code| Called(502, "upstream_error", code, "api_error");
    let limited = Called(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error");
    for (plan, called) in [
        (
            faults::web_error("FRONTEND_CAPTCHA_REQUIRED", "Reload."),
            upstream("upstream_captcha_required"),
        ),
        (faults::web_error("426", "Too old."), upstream("upstream_client_version")),
        (faults::firewall_page(), upstream("upstream_firewall")),
        (faults::web_error("MODEL_CONCURRENCY_LIMIT", "in use"), limited),
    ] {
        check_upstream(Dialect::ZaiWeb, plan, &[], called).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_or_silent_is_the_same_everywhere() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/chat/completions", nobody.local_addr().unwrap());
    drop(nobody);
    let variables = [("UPSTREAM_URL", url.as_str()), ("UPSTREAM_TOKEN", "t")];
    let gone = Called(502, "upstream_error", "upstream_connect", "api_error");
    check_upstream(Dialect::ZaiWeb, fine(), &variables, gone).await;
}

/// What is asked while the breaker lets one through is answered with that one's failure.
#[tokio::test]
async fn an_upstream_that_is_left_alone_is_the_same_everywhere() {
    let down = Script::status(503, "application/json", "{}");
    let gateway = Gateway::with(Dialect::OpenAi, down, &[("MAX_RETRIES", "0")]).await;
    let alone = Called(503, "upstream_error", "upstream_unavailable", "overloaded_error");
    let (mut all, mut refused) = (Vec::new(), 0);
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        let mut asked = 0;
        let failure = loop {
            let failure =
                hear(api, api.ask(&gateway, &Question::new(stream)).await).await.refused();
            if gateway.sim.chat_requests() == refused {
                break failure;
            }
            (refused, asked) = (refused + 1, asked + 1);
            assert_eq!((failure.status, asked <= 10), (502, true), "{api:?}: {failure:?}");
        };
        let (message, retry_after, should_retry) = check(api, failure, alone);
        assert!(retry_after.is_some(), "{api:?}");
        all.push((message, should_retry));
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
    for line in gateway.lines("response", refused + 6).await {
        assert_eq!(line["error_owner"], "upstream", "{line}");
    }
    let metrics = gateway.get("/metrics").await.text().await;
    let rejected = "z2api_rejections_total{reason=\"upstream_unavailable\"} 6\n";
    assert!(metrics.contains(rejected), "{metrics}");
}

/// Until the upstream begins there is one clock, for an answer in one piece too.
#[tokio::test]
async fn our_clocks_are_the_same_everywhere() {
    let silent = fine().head_after(Duration::from_secs(600));
    let late = Called(504, "upstream_error", "upstream_first_event_timeout", "timeout_error");
    let mut all = Vec::new();
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        let variables = [("REQUEST_TIMEOUT", LONG)];
        let gateway = Gateway::with(Dialect::ZaiWeb, silent.clone(), &variables).await;
        let question = Question::new(stream);
        let reply = gateway.out_of_time(0, api.ask(&gateway, &question)).await;
        let (message, ..) = check(api, hear(api, reply).await.refused(), late);
        assert!(message.contains("within 10s"), "{message}");
        all.push(message);
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn a_full_gateway_and_a_key_over_its_share_are_the_same_everywhere() {
    let variables = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")];
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck(), &variables).await;
    let mut holding = Api::Chat.ask(&gateway, &Question::new(true)).await;
    holding.event().await.expect("it has begun");
    let full = Called(503, "server_error", "server_full", "overloaded_error");
    let mut all = Vec::new();
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        let reply = api.ask(&gateway, &Question::new(stream)).await;
        let (message, retry_after, _) = check(api, hear(api, reply).await.refused(), full);
        assert!(retry_after.is_some(), "{api:?}");
        all.push(message);
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");

    let (key, line) = keygen("ann").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{line} per_minute=1 models=GLM-4.6\n")).unwrap();
    let over = Called(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error");
    for api in APIS {
        let variables = [("API_KEYS_FILE", file.path().to_str().unwrap())];
        let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &variables).await;
        let mut body = api.body(&Question::new(false));
        body["model"] = "GLM-4.5".into();
        let ask = async |body: &Value| -> Reply {
            api.send(&gateway, key.expose(), &[], &body.to_string()).await
        };
        let foreign = Called(404, CALLER, "model_not_found", "not_found_error");
        let (message, ..) = check(api, hear(api, ask(&body).await).await.refused(), foreign);
        assert!(message.contains("may not ask this model"), "{message}");
        let (message, retry_after, _) =
            check(api, hear(api, ask(&body).await).await.refused(), over);
        assert!(message.contains("1 requests a minute") && retry_after.is_some(), "{message}");
    }
}

#[tokio::test]
async fn a_fault_of_the_gateways_costs_one_request_everywhere() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let fault = Called(500, "server_error", "internal_error", "api_error");
    for api in APIS {
        let body = |stream| api.body(&Question::new(stream)).to_string();
        let panics = [("x-test-panic", "handler")];
        let reply = api.send(&gateway, KEY, &panics, &body(false)).await;
        check(api, hear(api, reply).await.refused(), fault);
        gateway.sim.set_plan(endless());
        let panics = [("x-test-panic", "stream")];
        let reply = api.send(&gateway, KEY, &panics, &body(true)).await;
        let broken = hear(api, reply).await;
        let Outcome::Broken(_, failure) = broken else { panic!("{api:?}: {broken:?}") };
        assert!(failure.message.contains("within the gateway"), "{failure:?}");
        gateway.sim.set_plan(fine());
        let again = hear(api, api.ask(&gateway, &Question::new(true)).await).await.whole();
        assert_eq!(again.text, "tide ", "{api:?}");
    }
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_alike() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("MAX_BODY_MB", "1")]).await;
    let large = " ".repeat(1024 * 1024 + 1);
    let caller = |status, code| Called(status, CALLER, code, CALLER);
    let too_large = Called(413, CALLER, "request_too_large", "request_too_large");
    for (headers, body, called) in [
        (("x-a", "b"), large.as_str(), too_large),
        (("content-encoding", "gzip"), "x", caller(415, "unsupported_encoding")),
        (("content-type", "image/png"), "x", caller(415, "unsupported_media_type")),
    ] {
        let mut all = Vec::new();
        for api in APIS {
            let reply = api.send(&gateway, KEY, &[headers], body).await;
            all.push(check(api, hear(api, reply).await.refused(), called));
        }
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
    }
    let deep = format!("{{\"x\":{}", "[".repeat(1000));
    for body in ["", "{", "[]", "\u{feff}{}", "\"x\"", deep.as_str()] {
        let mut all = Vec::new();
        for api in APIS {
            let reply = api.send(&gateway, KEY, &[], body).await;
            let failure = hear(api, reply).await.refused();
            assert_eq!((failure.status, failure.kind.as_deref()), (400, Some(CALLER)), "{body:.9}");
            all.push(failure.message);
        }
        // Messages write paths in their own way; none of these has one.
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
    }
    let unauthorized = Called(401, CALLER, "invalid_api_key", "authentication_error");
    for api in APIS {
        let reply = api.send(&gateway, "wrong-key-0123456789", &[], "{}").await;
        let (message, ..) = check(api, hear(api, reply).await.refused(), unauthorized);
        assert_eq!(message.contains("x-api-key"), api == Api::Messages, "{message}");
    }
    assert_eq!(gateway.sim.chat_requests(), 0, "none of these cost anything");
}
