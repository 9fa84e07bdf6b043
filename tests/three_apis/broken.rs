//! Streams that break off: the same words up to there, the same error, and no whole answer.

use serde_json::json;
use z2api_tests::{Gateway, LONG};
use z2api_upstream_sim::{Script, faults};
use z2api_wire::event::Dialect;

use crate::api::{APIS, Api, Question};
use crate::heard::{Outcome, hear};

fn half() -> Script {
    let said =
        |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string();
    Script::events([said("half"), said(" of it")])
}

/// `code` is OpenAI's; `kind` is Anthropic's type.
async fn check(script: Script, status: u16, code: &str, kind: &str) {
    // Silence ends it only where there is nothing else.
    let is_silent = code == "upstream_idle_timeout";
    let variables = [("MAX_RETRIES", "0"), ("LOG_PROBES", "false"), ("STREAM_IDLE_TIMEOUT", LONG)];
    let ask = async |gateway: &Gateway, api: Api, stream: bool| {
        let question = Question::new(stream);
        let asked = async { hear(api, api.ask(gateway, &question).await).await };
        if is_silent { gateway.out_of_time(2, asked).await } else { asked.await }
    };
    let mut messages = Vec::new();
    for api in APIS {
        let gateway = Gateway::with(Dialect::OpenAi, script.clone(), &variables).await;
        let streamed = ask(&gateway, api, true).await;
        let Outcome::Broken(text, failure) = streamed else { panic!("{api:?}: {streamed:?}") };
        assert_eq!(text, "half of it", "{api:?}, {code}");
        match api {
            Api::Chat | Api::Responses => {
                assert_eq!(failure.code.as_deref(), Some(code), "{api:?}");
            }
            Api::Messages => assert_eq!(failure.kind.as_deref(), Some(kind), "{code}"),
        }
        messages.push(failure.message);
        let line = &gateway.lines("response", 1).await[0];
        assert_eq!(
            (&line["status_code"], &line["level"]),
            (&json!(200), &json!("ERROR")),
            "{api:?}"
        );
        // Whatever the stream did to the token, the whole answer has a gateway of its own.
        let gateway = Gateway::with(Dialect::OpenAi, script.clone(), &variables).await;
        let whole = ask(&gateway, api, false).await.refused();
        assert_eq!(whole.status, status, "{api:?}, {code}: no part may look whole");
        messages.push(whole.message);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_the_same_error_everywhere() {
    check(half().cut_after(2), 502, "upstream_disconnected", "api_error").await;
    check(half(), 502, "upstream_truncated", "api_error").await;
    let error = |code| half().event_after(2, &faults::api_error_event(code, "It says why."));
    check(error("1234"), 502, "upstream_error", "api_error").await;
    check(error("1302"), 429, "rate_limit_exceeded", "rate_limit_error").await;
    check(error("1301"), 400, "content_filter", "invalid_request_error").await;
    check(error("1261"), 400, "context_length_exceeded", "invalid_request_error").await;
    check(half().event_after(2, "{no JSON"), 502, "upstream_malformed", "api_error").await;
    check(half().stall_after(2), 504, "upstream_idle_timeout", "timeout_error").await;
}

#[tokio::test]
async fn a_gateway_that_must_go_tells_every_stream() {
    let stuck = half().stall_after(2);
    let gateway = Gateway::with(Dialect::OpenAi, stuck, &[("SHUTDOWN_GRACE", "0")]).await;
    let mut streams = Vec::new();
    for api in APIS {
        streams.push((api, api.ask(&gateway, &Question::new(true)).await));
    }
    gateway.stop();
    for (api, reply) in streams {
        let broken = hear(api, reply).await;
        let Outcome::Broken(text, failure) = broken else { panic!("{api:?}: {broken:?}") };
        assert!("half of it".starts_with(&text), "{api:?}: {text}");
        assert_eq!(failure.message, "The gateway is shutting down.");
        match api {
            Api::Chat | Api::Responses => {
                assert_eq!(failure.code.as_deref(), Some("server_shutting_down"), "{api:?}");
            }
            Api::Messages => assert_eq!(failure.kind.as_deref(), Some("overloaded_error")),
        }
    }
    assert_eq!(gateway.ended().await, 3);
}
