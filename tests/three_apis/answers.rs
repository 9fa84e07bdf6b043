//! Whole answers: every stream of `tests/streams`, every thinking mode, every ending.

use std::time::Duration;

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Ends, Gateway, KEY, PATIENCE, Raw, cases};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::api::{APIS, Api, Question};
use crate::heard::{Heard, Outcome, hear};

/// Asks in a thinking mode.
async fn ask(api: Api, gateway: &Gateway, stream: bool, mode: ThinkMode) -> Outcome {
    let mode = [("x-z2api-think-mode", mode.as_str())];
    let body = api.body(&Question::new(stream)).to_string();
    hear(api, api.send(gateway, KEY, &mode, &body).await).await
}

/// Chunks of the official API that say one thing each, and end for a reason.
pub(crate) fn chunks(deltas: &[Value], finish: &str, usage: &Value) -> Script {
    let chunk = |delta: &Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let mut events: Vec<String> = deltas.iter().map(chunk).collect();
    let last =
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage});
    events.extend([last.to_string(), "[DONE]".to_owned()]);
    Script::events(events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_says_the_same_in_all_apis_streamed_and_whole() {
    for case in cases() {
        for mode in [ThinkMode::Reasoning, ThinkMode::Strip] {
            let mut all = Vec::new();
            for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
                // A gateway each: a refusal may give the token a rest.
                let variables = [("MAX_RETRIES", "0")];
                let script = Script::sse(case.bytes.clone());
                let gateway = Gateway::with(case.dialect, script, &variables).await;
                all.push((api, stream, ask(api, &gateway, stream, mode).await));
            }
            let name = format!("{} in {mode}", case.name);
            match (&case.ends, &all[0].2) {
                (Ends::Finish(reason), Outcome::Whole(first)) => {
                    assert_eq!(first.end, *reason, "{name}");
                    for (api, stream, outcome) in &all {
                        assert_eq!(*outcome, all[0].2, "{name}: {api:?}, streamed: {stream}");
                    }
                }
                (Ends::Finish(_), other) => panic!("{name}: {other:?}"),
                (Ends::Truncated | Ends::Error(_), _) => check_failures(&name, &all),
            }
        }
    }
}

/// The same words and, for whole answers, the same status; the same text before a stream broke.
fn check_failures(name: &str, all: &[(Api, bool, Outcome)]) {
    let failure = |outcome: &Outcome| match outcome {
        Outcome::Whole(heard) => panic!("{name}: {heard:?}"),
        Outcome::Refused(failure) => (String::new(), failure.status, failure.message.clone()),
        Outcome::Broken(text, failure) => (text.clone(), 200, failure.message.clone()),
    };
    for streamed in [true, false] {
        let mut heard = all.iter().filter(|(_, stream, _)| *stream == streamed);
        let first = failure(&heard.next().expect("three").2);
        for (api, _, outcome) in heard {
            assert_eq!(failure(outcome), first, "{name}: {api:?}, streamed: {streamed}");
        }
    }
}

#[tokio::test]
async fn thinking_is_shown_or_left_out_in_every_mode() {
    let deltas = [
        json!({"reasoning_content": "Hm,"}),
        json!({"reasoning_content": " yes."}),
        json!({"content": "It is."}),
    ];
    let gateway = Gateway::start(Dialect::OpenAi, chunks(&deltas, "stop", &Value::Null)).await;
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        for mode in ThinkMode::ALL {
            let heard = ask(api, &gateway, stream, mode).await.whole();
            let (thinking, text) = match (mode, api) {
                (ThinkMode::Strip, _) => ("", "It is."),
                (ThinkMode::Think, Api::Chat) => ("", "<think>\nHm, yes.\n</think>\n\nIt is."),
                // They have a place of its own for it.
                (ThinkMode::Think, Api::Messages | Api::Responses)
                | (ThinkMode::Reasoning | ThinkMode::Raw, _) => ("Hm, yes.", "It is."),
            };
            assert_eq!(
                (heard.thinking.as_str(), heard.text.as_str()),
                (thinking, text),
                "{api:?} in {mode}"
            );
        }
    }
}

#[tokio::test]
async fn thinking_is_switched_on_and_off() {
    let script = chunks(&[json!({"content": "Hi"})], "stop", &Value::Null);
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for api in APIS {
        for (thinks, kind) in
            [(Some(true), "enabled"), (Some(false), "disabled"), (None, "disabled")]
        {
            let question = Question { thinks, ..Question::new(false) };
            hear(api, api.ask(&gateway, &question).await).await.whole();
            let asked = gateway.sim.chats().pop().expect("a request").json();
            assert_eq!(asked["thinking"]["type"], kind, "{api:?}, {thinks:?}");
        }
    }
}

#[tokio::test]
async fn endings_and_counts_are_the_same() {
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37,
        "prompt_tokens_details": {"cached_tokens": 10}});
    let plain = json!({"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37});
    let gateway = Gateway::start(Dialect::OpenAi, Script::sse("")).await;
    for (finish, end) in [
        ("stop", "stop"),
        ("length", "length"),
        ("model_context_window_exceeded", "length"),
        ("sensitive", "content_filter"),
    ] {
        for (usage, known) in
            [(&usage, Some((30, 7, Some(10)))), (&plain, Some((30, 7, None))), (&Value::Null, None)]
        {
            gateway.sim.set_plan(chunks(&[json!({"content": "A part"})], finish, usage));
            for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
                let question = Question::new(stream);
                let heard = hear(api, api.ask(&gateway, &question).await).await.whole();
                let expected = Heard {
                    text: "A part".to_owned(),
                    end: end.to_owned(),
                    usage: known,
                    ..Heard::default()
                };
                assert_eq!(heard, expected, "{api:?}, streamed: {stream}");
            }
        }
    }
}

/// The Responses API has no stop words.
#[tokio::test]
async fn a_stop_word_ends_the_answer_before_it() {
    let deltas = ["one E", "ND two"].map(|text| json!({"content": text}));
    let script = chunks(&deltas, "stop", &Value::Null);
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for (api, field) in [(Api::Chat, "stop"), (Api::Messages, "stop_sequences")] {
        for stream in [true, false] {
            let mut body = api.body(&Question::new(stream));
            body[field] = json!(["X", "END"]);
            let reply = api.send(&gateway, KEY, &[], &body.to_string()).await;
            let heard = hear(api, reply).await.whole();
            assert_eq!((heard.text.as_str(), heard.end.as_str()), ("one ", "stop"), "{api:?}");
        }
    }
}

/// Until the first beat the head waits; the second comes within the stream.
#[tokio::test]
async fn a_silence_is_broken_by_what_clients_pass_over() {
    let beats = [("CONNECTION_CHECK_INTERVAL", "1")];
    let stuck = chunks(&[json!({"content": "tide"})], "stop", &Value::Null).stall_after(1);
    let gateway = Gateway::with(Dialect::OpenAi, stuck, &beats).await;
    for api in APIS {
        let body = api.body(&Question::new(true)).to_string();
        let mut peer = Raw::connect(gateway.address).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n",
            api.path(),
            body.len()
        );
        peer.send(head + &body).await;
        let beat = match api {
            Api::Chat | Api::Responses => "\n: keep-alive\n\n",
            Api::Messages => "\nevent: ping\ndata: {\"type\":\"ping\"}\n\n",
        };
        let heard = peer.until(beat).await;
        assert!(heard.contains("tide"), "{api:?}: {heard}");
    }
}

#[tokio::test]
async fn a_reader_that_leaves_gives_everything_back() {
    let stuck = chunks(&[json!({"content": "tide"})], "stop", &Value::Null).stall_after(1);
    let gateway = Gateway::start(Dialect::OpenAi, stuck).await;
    for api in APIS {
        let mut reply = api.ask(&gateway, &Question::new(true)).await;
        while !reply.event().await.expect("an event").contains("tide") {}
        assert_eq!((gateway.in_flight(), gateway.sim.open_streams()), (1, 1), "{api:?}");
        drop(reply);
        gateway.until(|gateway| gateway.in_flight() == 0).await;
        let closed = async {
            while gateway.sim.open_streams() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the upstream is let go");
    }
}
