//! A golden answer, cut at every byte: it is whole, or there is an error. Never a false end.

use z2api_upstream_client::{Client, Dialect, Event};
use z2api_upstream_sim::text::Answer;
use z2api_upstream_sim::{Script, Sim};

use crate::support::{ask, drain, framed, settings};

/// All text, thinking and answer and edits.
fn said(events: &[Event<'_>]) -> String {
    let text = |event: &Event<'_>| match event {
        Event::Text { text, .. } | Event::Edit { text, .. } => Some(text.to_string()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// Cuts the answer at every byte, in the way of `cut`; gives how often it was whole.
async fn check(dialect: Dialect, cut: impl Fn(&[u8]) -> Script) -> usize {
    let golden = Answer {
        thinking: "I think 山.".to_owned(),
        text: "I say 🙂.".to_owned(),
        piece: 5,
        usage: (3, 9),
    };
    let events = match dialect {
        Dialect::ZaiWeb => golden.web_events(),
        Dialect::OpenAi => golden.openai_events("a-model"),
    };
    let bytes = framed(&events.iter().map(String::as_str).collect::<Vec<_>>()).into_bytes();
    let sim = Sim::start(Script::sse(bytes.clone())).await.unwrap();
    let mut settings = settings(&sim, dialect);
    settings.retry.retries = 0;
    settings.breaker.failures = 0;
    let client = Client::new(settings).unwrap();
    let (golden, error) = drain(ask(&client).await.unwrap().events).await;
    assert_eq!(error, None);

    let mut whole = 0;
    for at in 0..bytes.len() {
        sim.set_plan(cut(&bytes[..at]));
        let Ok(started) = ask(&client).await else { continue };
        let (events, error) = drain(started.events).await;
        if error.is_none() {
            assert_eq!(events, golden, "a false end at byte {at}");
            whole += 1;
        } else {
            assert!(said(&golden).starts_with(&said(&events)), "at byte {at}");
        }
    }
    whole
}

#[tokio::test]
async fn an_answer_that_ends_early_is_never_taken_for_whole() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        // The last bytes are the end mark's own line ends and what follows it.
        let whole = check(dialect, |bytes| Script::sse(bytes)).await;
        assert!(whole < 120, "{dialect}: {whole}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_never_taken_for_an_end() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let whole = check(dialect, |bytes| Script::sse(bytes).cut_after(1)).await;
        assert!(whole < 120, "{dialect}: {whole}");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_is_never_taken_for_an_end() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let whole = check(dialect, |bytes| Script::sse(bytes).reset_after(1)).await;
        assert!(whole < 120, "{dialect}: {whole}");
    }
}
