//! The stream of an answer: what arrives, in which order, and when it counts as whole.

use std::future::poll_fn;
use std::task::Poll;

use futures::StreamExt;
use z2api_upstream_client::{Dialect, Event, FinishReason, Phase};
use z2api_upstream_sim::text::Answer;
use z2api_upstream_sim::{Outcome, Script, Sim};

use crate::support::{
    API_FINISH, LONG, WEB_DONE, WEB_USAGE, answer, api_text, ask, ask_whole, client, drain, framed,
    web_text,
};

fn long_answer() -> Answer {
    Answer {
        thinking: "First I think 山 of it.\nThen again 🙂.".to_owned(),
        text: "Here is what I found: naïve \"quotes\" and 山 and 🙂.".to_owned(),
        piece: 5,
        usage: (3, 9),
    }
}

/// A script in the dialect gives these events, however its bytes are cut.
async fn events_of(dialect: Dialect, script: Script) -> Vec<Event<'static>> {
    let sim = Sim::start(script).await.unwrap();
    let (events, error) = drain(ask(&client(&sim, dialect)).await.unwrap().events).await;
    assert_eq!(error, None);
    events
}

#[tokio::test]
async fn single_bytes_give_the_same_events() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let events = match dialect {
            Dialect::ZaiWeb => long_answer().web_events(),
            Dialect::OpenAi => long_answer().openai_events("a-model"),
        };
        let whole = events_of(dialect, Script::events(&events).together()).await;
        assert!(whole.len() > 10, "{whole:?}");
        let bytes = events_of(dialect, Script::events(&events).pieces_of(1)).await;
        assert_eq!(bytes, whole);
        let lines = framed(&events.iter().map(String::as_str).collect::<Vec<_>>());
        let crlf = Script::sse(lines.replace('\n', "\r\n")).pieces_of(7);
        assert_eq!(events_of(dialect, crlf).await, whole);
    }
}

#[tokio::test]
async fn all_events_of_a_read_come_in_one_call() {
    let script = Script::events([web_text("a"), web_text("b"), web_text("c"), WEB_DONE.into()]);
    let sim = Sim::start(script.together()).await.unwrap();
    let mut events = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap().events;
    let mut reads = Vec::new();
    loop {
        let mut read = String::new();
        let outcome = poll_fn(|cx| {
            events.poll_events(cx, &mut |event| read.push_str(&answer(&[event.into_owned()])))
        });
        match outcome.await {
            Some(outcome) => outcome.unwrap(),
            None => break,
        }
        reads.push(read);
    }
    assert_eq!(reads, ["abc"]);
}

#[tokio::test]
async fn what_comes_before_the_first_text_is_kept() {
    let script = Script::events([
        WEB_USAGE.to_owned(),
        r#"{"type":"chat:news","data":{}}"#.to_owned(),
        web_text("x"),
        WEB_DONE.to_owned(),
    ]);
    let events = events_of(Dialect::ZaiWeb, script).await;
    assert!(matches!(events[0], Event::Usage(usage) if usage.total_tokens == 3), "{events:?}");
    assert_eq!(events[1], Event::Unknown("type chat:news".into()));
    assert_eq!(events[2], Event::Text { phase: Phase::Answer, text: "x".into() });
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn what_is_kept_before_the_first_text_has_a_bound() {
    let early = (0..3000).map(|_| WEB_USAGE.to_owned());
    let script = Script::events(early.chain([web_text("x"), WEB_DONE.to_owned()]));
    let events = events_of(Dialect::ZaiWeb, script).await;
    assert!(events.len() <= 1025, "{}", events.len());
    assert_eq!(answer(&events), "x");
}

#[tokio::test]
async fn nothing_is_read_beyond_the_end_mark() {
    let script = Script::events([web_text("x"), WEB_DONE.to_owned(), web_text("y")]);
    assert_eq!(answer(&events_of(Dialect::ZaiWeb, script.together()).await), "x");
}

/// How a stream of these data ends: None, or the kind of its error.
async fn ending(dialect: Dialect, datas: &[&str]) -> Option<&'static str> {
    let mut endings = Vec::new();
    let by_events = Script::events(datas);
    for script in [by_events.clone(), by_events.clone().together(), by_events.until_close()] {
        let sim = Sim::start(script).await.unwrap();
        let (events, error) = drain(ask(&client(&sim, dialect)).await.unwrap().events).await;
        assert_eq!(answer(&events), "x");
        endings.push(error.map(|error| error.kind()));
    }
    endings.dedup();
    assert_eq!(endings.len(), 1, "{endings:?}");
    endings.remove(0)
}

#[tokio::test]
async fn the_web_chats_answer_is_whole_after_an_end_mark_or_a_finish() {
    let text = web_text("x");
    let finish = r#"{"type":"chat:completion","data":{"done":true,"status":"finish"}}"#;
    let cut = Some("upstream_truncated");
    assert_eq!(ending(Dialect::ZaiWeb, &[&text, WEB_DONE]).await, None);
    assert_eq!(ending(Dialect::ZaiWeb, &[&text, "[DONE]"]).await, None);
    assert_eq!(ending(Dialect::ZaiWeb, &[&text, finish]).await, None);
    assert_eq!(ending(Dialect::ZaiWeb, &[&text]).await, cut);
    assert_eq!(ending(Dialect::ZaiWeb, &[&text, WEB_USAGE]).await, cut);
}

#[tokio::test]
async fn an_openai_answer_is_whole_after_a_finish_and_an_end_mark() {
    let text = api_text("x");
    let cut = Some("upstream_truncated");
    assert_eq!(ending(Dialect::OpenAi, &[&text, API_FINISH, "[DONE]"]).await, None);
    assert_eq!(ending(Dialect::OpenAi, &[&text, API_FINISH]).await, cut);
    assert_eq!(ending(Dialect::OpenAi, &[&text, "[DONE]"]).await, cut);
    assert_eq!(ending(Dialect::OpenAi, &[&text]).await, cut);
    let broke_off = r#"{"choices":[{"delta":{},"finish_reason":"network_error"}]}"#;
    assert_eq!(ending(Dialect::OpenAi, &[&text, broke_off]).await, Some("upstream_error"));
    assert_eq!(ending(Dialect::OpenAi, &[&text, "{nonsense"]).await, Some("upstream_malformed"));
}

#[tokio::test]
async fn servers_of_the_openai_shape_differ_and_say_the_same() {
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    let finish = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
    // The usage on the chunk that finishes, or on one of its own after it; without an index, an
    // object or an id; the thinking under either name; the last text together with the finish.
    let ways = [
        vec![
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"t"}}]}"#.to_owned(),
            api_text("x"),
            format!(r#"{{"choices":[{finish}],{usage}}}"#),
        ],
        vec![
            r#"{"object":"chat.completion.chunk","id":"i","choices":[{"index":0,"delta":{"reasoning":"t"}}]}"#
                .to_owned(),
            api_text("x"),
            format!(r#"{{"choices":[{finish}],"usage":null}}"#),
            format!(r#"{{"choices":[],{usage}}}"#),
        ],
        vec![
            r#"{"choices":[{"delta":{"reasoning_content":"t","content":null}}]}"#.to_owned(),
            format!(r#"{{"choices":[{{"delta":{{"content":"x"}},"finish_reason":"stop"}}],{usage}}}"#),
        ],
    ];
    let mut said = Vec::new();
    for mut way in ways {
        way.push("[DONE]".to_owned());
        said.push(events_of(Dialect::OpenAi, Script::events(way)).await);
    }
    assert_eq!(said[0].len(), 4, "{said:?}");
    assert!(matches!(said[0][0], Event::Text { phase: Phase::Thinking, .. }));
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
}

#[tokio::test]
async fn every_finish_reason_is_understood() {
    let reasons = [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::ContextFull),
        ("tool_calls", FinishReason::ToolCalls),
        ("sensitive", FinishReason::ContentFilter),
    ];
    for (word, reason) in reasons {
        let finish = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{word}"}}]}}"#);
        let script = Script::events([finish.as_str(), "[DONE]"]);
        assert_eq!(events_of(Dialect::OpenAi, script).await, [Event::Finish(reason)]);
    }
}

#[tokio::test]
async fn half_an_event_at_the_end_is_a_cut() {
    let script = Script::sse(format!("data: {}\n\ndata: {{\"type\":\"ch", web_text("x")));
    let sim = Sim::start(script).await.unwrap();
    let started = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap();
    let (events, error) = drain(started.events).await;
    assert_eq!((events.len(), error.unwrap().kind()), (1, "upstream_truncated"));
}

#[tokio::test]
async fn a_finish_alone_is_an_answer() {
    let events = events_of(Dialect::OpenAi, Script::events([API_FINISH, "[DONE]"])).await;
    assert_eq!(events, [Event::Finish(FinishReason::Stop)]);
}

#[tokio::test]
async fn a_stream_without_a_content_type_is_known_by_its_first_byte() {
    let script = Script::events([web_text("x").as_str(), WEB_DONE]).header("content-type", "");
    assert_eq!(answer(&events_of(Dialect::ZaiWeb, script).await), "x");
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let sim = Sim::start(Script::events([web_text("x")]).stall_after(1)).await.unwrap();
    let mut started = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap();
    assert!(started.events.next().await.unwrap().is_ok());
    assert_eq!(sim.open_streams(), 1);
    drop(started);
    assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
    assert_eq!(sim.chats()[0].outcome, Outcome::PeerClosed);
}

#[tokio::test]
async fn dropping_the_question_closes_the_connection() {
    let sim = Sim::start(Script::events([web_text("x")]).stall_after(0)).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    let asking = tokio::spawn(async move { ask(&client).await.map(drop) });
    assert!(sim.until(|sim| sim.open_streams() == 1, LONG).await);
    asking.abort();
    assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_whole_answer() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let events = match dialect {
            Dialect::ZaiWeb => long_answer().web_events(),
            Dialect::OpenAi => long_answer().openai_events("a-model"),
        };
        for script in [Script::events(&events), Script::events(&events).together()] {
            let sim = Sim::start(script).await.unwrap();
            let client = client(&sim, dialect);
            for _ in 0..5 {
                ask_whole(&client).await;
                // The pool takes the connection back in a task of its own.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(sim.connections(), 1);
        }
    }
}

#[tokio::test]
async fn a_stream_that_waits_says_so() {
    let sim = Sim::start(Script::events([web_text("x")]).stall_after(1)).await.unwrap();
    let mut events = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap().events;
    assert!(events.next().await.is_some());
    let polled = poll_fn(|cx| Poll::Ready(events.poll_events(cx, &mut |_| {}).is_pending())).await;
    assert!(polled);
}
