//! How the upstream's answer ends it, in every API.

use std::time::Duration;

use z2api_tests::LONG;
use z2api_tests::web::{PIECE, fine, stuck};
use z2api_upstream_sim::Script;

use crate::{APIS, Ending, WHOLE, ask, check, web};

const ERROR: &str =
    r#"{"type":"chat:completion","data":{"error":{"code":"INTERNAL_ERROR","detail":"x"}}}"#;

fn begun() -> Script {
    Script::events([PIECE])
}

fn by_upstream(status: u16, kind: &'static str) -> Ending {
    (status, Some((kind, "upstream")))
}

/// As a stream, which has begun, and in one piece.
async fn ends(what: &str, plan: Script, variable: (&str, &str), streamed: Ending, whole: Ending) {
    for path in APIS {
        for (stream, ending) in [(true, streamed), (false, whole)] {
            let gateway = web(plan.clone(), &[("MAX_RETRIES", "0"), variable]).await;
            ask(&gateway, path, stream).await.text().await;
            check(&gateway, &format!("{what}: {path}, {stream}"), ending).await;
        }
    }
}

async fn breaks(what: &str, plan: Script, kind: &'static str) {
    let none = ("LOG_PROBES", "true");
    ends(what, plan, none, by_upstream(200, kind), by_upstream(502, kind)).await;
}

#[tokio::test]
async fn a_whole_answer() {
    ends("whole", fine(), ("LOG_PROBES", "true"), WHOLE, WHOLE).await;
}

#[tokio::test]
async fn a_refusal_before_it() {
    let none = ("LOG_PROBES", "true");
    let refused = by_upstream(502, "upstream_error");
    ends("503", Script::status(503, "application/json", "{}"), none, refused, refused).await;
    let busy = by_upstream(429, "upstream_rate_limited");
    ends("429", Script::status(429, "application/json", "{}"), none, busy, busy).await;
}

#[tokio::test]
async fn a_break_within_it() {
    breaks("no end mark", begun(), "upstream_truncated").await;
    breaks("cut", begun().cut_after(1), "upstream_disconnected").await;
    breaks("reset", begun().reset_after(1), "upstream_disconnected").await;
    breaks("not JSON", Script::events([PIECE, "not JSON"]), "upstream_malformed").await;
    breaks("an error", Script::events([PIECE, ERROR]), "upstream_error").await;
}

#[tokio::test]
async fn a_silence_within_it_that_is_too_long() {
    let idle = |status| by_upstream(status, "upstream_idle_timeout");
    ends("idle", stuck(), ("STREAM_IDLE_TIMEOUT", "100"), idle(200), idle(504)).await;
}

#[tokio::test]
async fn a_silence_before_it_that_is_too_long() {
    let silent = fine().head_after(Duration::from_secs(600));
    for path in APIS {
        for stream in [true, false] {
            let gateway = web(silent.clone(), &[("REQUEST_TIMEOUT", LONG)]).await;
            let asked = async { ask(&gateway, path, stream).await.text().await };
            gateway.out_of_time(0, asked).await;
            let late = by_upstream(504, "upstream_first_event_timeout");
            check(&gateway, &format!("{path}, {stream}"), late).await;
        }
    }
}

/// A stream may go on for longer than that.
#[tokio::test]
async fn an_answer_in_one_piece_that_is_not_whole_in_time() {
    for path in APIS {
        let gateway = web(stuck(), &[("REQUEST_TIMEOUT", LONG)]).await;
        let asked = async { ask(&gateway, path, false).await.text().await };
        gateway.out_of_time(1, asked).await;
        check(&gateway, path, by_upstream(504, "request_timeout")).await;
    }
}
