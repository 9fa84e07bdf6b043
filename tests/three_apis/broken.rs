//! Streams that break off: the same words up to there, the same error, and no whole answer.

use serde_json::json;
use z2api_tests::Gateway;
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
async fn check(script: Script, variables: &[(&str, &str)], status: u16, code: &str, kind: &str) {
    let variables = [&[("MAX_RETRIES", "0")], variables].concat();
    let mut messages = Vec::new();
    for api in APIS {
        let gateway = Gateway::with(Dialect::OpenAi, script.clone(), &variables).await;
        let streamed = hear(api, api.ask(&gateway, &Question::new(true)).await).await;
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
        let whole = hear(api, api.ask(&gateway, &Question::new(false)).await).await.refused();
        assert_eq!(whole.status, status, "{api:?}, {code}: no part may look whole");
        messages.push(whole.message);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_the_same_error_everywhere() {
    check(half().cut_after(2), &[], 502, "upstream_disconnected", "api_error").await;
    check(half(), &[], 502, "upstream_truncated", "api_error").await;
    let error = |code| half().event_after(2, &faults::api_error_event(code, "It says why."));
    check(error("1234"), &[], 502, "upstream_error", "api_error").await;
    check(error("1302"), &[], 429, "rate_limit_exceeded", "rate_limit_error").await;
    check(error("1301"), &[], 400, "content_filter", "invalid_request_error").await;
    check(error("1261"), &[], 400, "context_length_exceeded", "invalid_request_error").await;
    check(half().event_after(2, "{no JSON"), &[], 502, "upstream_malformed", "api_error").await;
    let idle = [("STREAM_IDLE_TIMEOUT", "100")];
    check(half().stall_after(2), &idle, 504, "upstream_idle_timeout", "timeout_error").await;
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
