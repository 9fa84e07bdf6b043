//! A client for a simulator, and shorthands for what they say.

use std::time::Duration;

use futures::StreamExt;
use z2api_upstream_client::{
    Chat, Client, Dialect, Error, Event, EventStream, Failed, Phase, Secret, Settings, Started,
};
use z2api_upstream_sim::Sim;

pub(crate) const TOKEN: &str = "sk-of-the-test";
/// Far longer than anything here takes, far shorter than forever.
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Settings for a simulator: with a token, and without waits between attempts.
pub(crate) fn settings(sim: &Sim, dialect: Dialect) -> Settings {
    settings_for(&match dialect {
        Dialect::ZaiWeb => sim.web_url(),
        Dialect::OpenAi => sim.openai_url(),
    })
}

/// The same for any upstream.
pub(crate) fn settings_for(url: &str) -> Settings {
    let mut settings = Settings::default();
    settings.url = url.to_owned();
    settings.token = Some(Secret::new(TOKEN));
    settings.retry.base = Duration::ZERO;
    settings.retry.jitter_min = Duration::ZERO;
    settings.retry.jitter_max = Duration::ZERO;
    settings.timeouts.first_event = LONG;
    settings.timeouts.idle = LONG;
    settings
}

pub(crate) fn client(sim: &Sim, dialect: Dialect) -> Client {
    Client::new(settings(sim, dialect)).unwrap()
}

pub(crate) async fn ask(client: &Client) -> Result<Started, Failed> {
    client.chat(&Chat::ask("a-model", "a question of mine")).await
}

/// All events up to the end, and the error if it ends with one.
pub(crate) async fn drain(mut events: EventStream) -> (Vec<Event<'static>>, Option<Error>) {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push(event),
            Err(error) => {
                assert!(events.next().await.is_none(), "an error is the last item");
                return (seen, Some(error));
            }
        }
    }
    assert!(events.next().await.is_none(), "an end is an end");
    (seen, None)
}

/// The answer's text.
pub(crate) fn answer(events: &[Event<'_>]) -> String {
    let text = |event: &Event<'_>| match event {
        Event::Text { phase: Phase::Answer, text } => Some(text.to_string()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// Asks for an answer that is whole, and gives its text.
pub(crate) async fn ask_whole(client: &Client) -> String {
    let (events, error) = drain(ask(client).await.unwrap().events).await;
    assert_eq!(error, None);
    answer(&events)
}

/// An event of the web dialect with a piece of the answer.
pub(crate) fn web_text(text: &str) -> String {
    format!(r#"{{"type":"chat:completion","data":{{"delta_content":"{text}","phase":"answer"}}}}"#)
}

pub(crate) const WEB_DONE: &str =
    r#"{"type":"chat:completion","data":{"done":true,"phase":"done"}}"#;
pub(crate) const WEB_USAGE: &str = r#"{"type":"chat:completion","data":{"phase":"other","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}"#;

/// A chunk of the OpenAI dialect with a piece of the answer.
pub(crate) fn api_text(text: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#)
}

pub(crate) const API_FINISH: &str =
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

/// These data as the bytes of an event stream.
pub(crate) fn framed(datas: &[&str]) -> String {
    datas.iter().map(|data| format!("data: {data}\n\n")).collect()
}
