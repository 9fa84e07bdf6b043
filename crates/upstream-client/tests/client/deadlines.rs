//! The three clocks, against an upstream that is silent or endless.

use std::time::Duration;

use z2api_upstream_client::{Client, Dialect};
use z2api_upstream_sim::{Guests, Script, Sim};

use crate::support::{LONG, SHORT, WEB_DONE, ask, client, drain, framed, settings, web_text};

const NEVER: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(5);

#[tokio::test]
async fn the_first_event_has_a_deadline_whatever_comes_instead() {
    let text = web_text("x");
    let silences = [
        Script::events([&text]).head_after(NEVER),
        Script::events([&text]).first_after(NEVER),
        Script::sse(": ping\n\n").endless().pace(TICK),
        Script::status(500, "application/json", "{}").first_after(NEVER),
    ];
    for silence in silences {
        let sim = Sim::start(silence).await.unwrap();
        let mut settings = settings(&sim, Dialect::ZaiWeb);
        settings.timeouts.first_event = SHORT;
        let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_first_event_timeout", 1));
        assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
    }
}

#[tokio::test]
async fn the_deadline_holds_for_the_guest_token_too() {
    let sim = Sim::start(Script::events([web_text("x")])).await.unwrap();
    sim.guests(Guests::Slow(NEVER));
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.token = None;
    settings.timeouts.first_event = SHORT;
    let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
    assert_eq!(failed.error.kind(), "upstream_first_event_timeout");
    assert_eq!(sim.chats().len(), 0);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let sim = Sim::start(Script::status(500, "application/json", "{}")).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.retry.jitter_min = NEVER;
    settings.retry.jitter_max = NEVER;
    let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_error", 1));
}

/// The events that come before the clock runs out, and the error then.
async fn check(script: Script, idle: Duration, lifetime: Duration, kind: &str) {
    let sim = Sim::start(script).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.timeouts.idle = idle;
    settings.timeouts.lifetime = lifetime;
    let started = ask(&Client::new(settings).unwrap()).await.unwrap();
    let (events, error) = drain(started.events).await;
    assert!(!events.is_empty());
    assert_eq!(error.unwrap().kind(), kind);
    assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
}

#[tokio::test]
async fn silence_after_the_first_event_ends_the_stream() {
    let silence = Script::events([web_text("x")]).stall_after(1);
    check(silence, SHORT, LONG, "upstream_idle_timeout").await;
}

#[tokio::test]
async fn comments_do_not_feed_the_idle_clock() {
    let chatter = format!("{}: ping\n\n", framed(&[&web_text("x")]));
    let chatter = Script::sse(chatter).event_by_event().endless().pace(TICK);
    check(chatter, SHORT, LONG, "upstream_idle_timeout").await;
}

#[tokio::test]
async fn an_endless_answer_ends_with_its_lifetime() {
    let endless = Script::events([web_text("x")]).endless().pace(TICK);
    check(endless, LONG, SHORT, "upstream_lifetime_timeout").await;
    let torrent = Script::events([web_text("x")]).endless();
    check(torrent, LONG, SHORT, "upstream_lifetime_timeout").await;
}

#[tokio::test]
async fn a_reader_that_was_away_does_not_time_the_upstream_out() {
    let script = Script::events([web_text("x"), web_text("y")]).first_after(TICK).pace(TICK * 4);
    let sim = Sim::start(script.stall_after(2)).await.unwrap();
    let started = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap();
    // The second event is there long before the reader comes.
    assert!(sim.until(|sim| sim.chats().len() == 1, LONG).await);
    tokio::time::sleep(SHORT).await;
    let mut events = started.events;
    for text in ["x", "y"] {
        let event = futures::StreamExt::next(&mut events).await.unwrap().unwrap();
        assert_eq!(crate::support::answer(&[event]), text);
    }
}

#[tokio::test]
async fn no_other_clock_cuts_a_stream_that_goes_on() {
    let texts = [web_text("x"), web_text("y"), web_text("z"), WEB_DONE.to_owned()];
    let while_it_thinks = Duration::from_secs(2);
    let script = Script::events(texts).head_after(while_it_thinks).pace(while_it_thinks);
    let sim = Sim::start(script).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.timeouts.connect = while_it_thinks / 2;
    settings.timeouts.first_event = LONG;
    let client = Client::new(settings).unwrap();
    let asked = async { drain(ask(&client).await.unwrap().events).await };
    // To connect takes the time it takes; the rest passes at once.
    let passes = async {
        assert!(sim.until(|sim| sim.open_streams() == 1, LONG).await);
        tokio::time::pause();
    };
    let ((events, error), ()) = tokio::join!(asked, passes);
    assert_eq!((crate::support::answer(&events).as_str(), error), ("xyz", None));
}
