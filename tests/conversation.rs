//! Every stream of `tests/streams` through the whole gateway, on real sockets: in every thinking
//! mode, streamed and whole, written at once and a byte at a time.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, cases};
use z2api_upstream_sim::Script;

/// What a client puts together from a stream.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    content: String,
    reasoning: String,
    finish: Option<String>,
    error: Option<Value>,
    done: bool,
}

fn hear(events: &[String]) -> Heard {
    let mut heard = Heard::default();
    let mut names = Vec::new();
    for event in events {
        assert!(!heard.done && heard.error.is_none(), "nothing follows the end: {event}");
        if event == "[DONE]" {
            heard.done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(event).expect("a chunk is JSON");
        if let Some(error) = chunk.get("error") {
            heard.error = Some(error.clone());
            continue;
        }
        names.push((chunk["id"].clone(), chunk["created"].clone(), chunk["model"].clone()));
        let choice = &chunk["choices"][0];
        heard.content += choice["delta"]["content"].as_str().unwrap_or_default();
        heard.reasoning += choice["delta"]["reasoning_content"].as_str().unwrap_or_default();
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert_eq!(heard.finish.replace(reason.to_owned()), None, "one finish reason");
        }
    }
    names.dedup();
    assert!(names.len() <= 1, "one id, time and model for all chunks: {names:?}");
    heard
}

/// A gateway for each: after some failures in a row one would leave the upstream alone.
async fn check(script: Script, case: &Case, mode: ThinkMode, how: &str) {
    let gateway = Gateway::with(case.dialect, script, &[("MAX_RETRIES", "0")]).await;
    let name = format!("{} in {mode}, {how}", case.name);
    let fields = json!({"stream": true, "reasoning_format": mode.as_str()});
    let reply = gateway.chat("GLM-4.6", fields).await;
    let status = reply.status;
    let begun = !case.answer().is_empty() || matches!(case.ends, Ends::Finish(_));
    if !begun {
        // A refusal within a 200 of the upstream has a status of its own.
        assert!(status == 502 || status == 429, "{name}: {status}");
        let body = reply.json().await;
        assert!(body["error"]["message"].is_string(), "{name}: {body}");
        let whole = gateway.chat("GLM-4.6", json!({"reasoning_format": mode.as_str()})).await;
        assert_eq!(whole.status, status, "{name}");
        return;
    }
    assert_eq!(status, 200, "{name}");
    let heard = hear(&reply.events().await);
    if let Some(content) = case.content(mode) {
        assert_eq!(heard.content, content, "{name}");
    }
    assert_eq!(heard.reasoning, case.reasoning(mode), "{name}");
    let whole = gateway.chat("GLM-4.6", json!({"reasoning_format": mode.as_str()})).await;
    match &case.ends {
        Ends::Finish(reason) => {
            assert_eq!(
                (heard.finish.as_deref(), heard.done),
                (Some(reason.as_str()), true),
                "{name}"
            );
            assert_eq!(whole.status, 200, "{name}");
            let whole = whole.json().await;
            let message = &whole["choices"][0]["message"];
            assert_eq!(message["content"].as_str().unwrap_or_default(), heard.content, "{name}");
            let reasoning = message["reasoning_content"].as_str().unwrap_or_default();
            assert_eq!(reasoning, heard.reasoning, "{name}");
            assert_eq!(whole.get("usage"), case.usage.as_ref(), "{name}");
        }
        Ends::Truncated | Ends::Error(_) => {
            assert!(heard.error.is_some(), "{name}: an error the client can see");
            assert_eq!((heard.finish, heard.done), (None, false), "{name}");
            assert_eq!(whole.status, 502, "{name}: no part may look whole");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_arrives_as_it_is_meant() {
    for case in cases() {
        let script = Script::sse(case.bytes.clone());
        for mode in ThinkMode::ALL {
            check(script.clone(), &case, mode, "written at once").await;
            check(script.clone().event_by_event(), &case, mode, "event by event").await;
        }
        check(script.pieces_of(1), &case, ThinkMode::Think, "a byte at a time").await;
    }
}
