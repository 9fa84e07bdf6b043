//! Answers as they should not be: each fault does what it says.

use std::{io::ErrorKind, time::Duration};

use z2api_upstream_sim::{Outcome, Script, Sim, fails_first, faults, sequence};

use crate::client::{API, Client, LONG, WEB};

/// Asks once and reads until the connection ends.
async fn all_that_comes(script: Script) -> (String, Option<ErrorKind>, Outcome) {
    let sim = Sim::start(script).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "{}").await;
    client.head().await;
    let (bytes, end) = client.rest().await;
    let text = String::from_utf8(bytes).unwrap();
    (text, end.err().map(|error| error.kind()), sim.chats()[0].outcome)
}

#[tokio::test]
async fn a_cut_leaves_out_the_closing_chunk() {
    let (text, error, outcome) = all_that_comes(Script::events(["a", "b"]).cut_after(1)).await;
    assert_eq!((text.as_str(), error), ("9\r\ndata: a\n\n\r\n", None));
    assert_eq!(outcome, Outcome::CutByScript);
}

#[tokio::test]
async fn a_reset_is_an_error_to_the_reader() {
    let (text, error, outcome) = all_that_comes(Script::events(["a", "b"]).reset_after(1)).await;
    assert_eq!((text.as_str(), error), ("9\r\ndata: a\n\n\r\n", Some(ErrorKind::ConnectionReset)));
    assert_eq!(outcome, Outcome::CutByScript);
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_cut() {
    let script = Script::status(200, "application/json", "{}").header("content-length", "10");
    let (text, error, _) = all_that_comes(script.cut_after(9)).await;
    assert_eq!((text.as_str(), error), ("{}", None));
}

#[tokio::test]
async fn a_stall_lasts_until_the_peer_goes() {
    let sim = Sim::start(Script::events(["a", "b"]).stall_after(1)).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "{}").await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap(), b"data: a\n\n");
    assert_eq!(sim.chats()[0].outcome, Outcome::Running);
    assert_eq!(sim.open_streams(), 1);
    drop(client);
    assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
    assert_eq!(sim.chats()[0].outcome, Outcome::PeerClosed);
}

#[tokio::test]
async fn a_hang_up_is_recorded() {
    // The wait is never waited for: the hang-up ends it.
    let hour = Duration::from_secs(3600);
    let events = || Script::events(["a", "b"]);
    for script in [events().head_after(hour), events().first_after(hour), events().pace(hour)] {
        let sim = Sim::start(script).await.unwrap();
        let mut client = Client::connect(sim.addr()).await;
        client.ask(WEB, "t", "{}").await;
        assert!(sim.until(|sim| sim.open_streams() == 1, LONG).await);
        drop(client);
        assert!(sim.until(|sim| sim.chats()[0].outcome == Outcome::PeerClosed, LONG).await);
    }
}

#[tokio::test]
async fn a_late_first_byte_does_not_hold_back_the_head() {
    let hour = Duration::from_secs(3600);
    let sim = Sim::start(Script::events(["a"]).first_after(hour)).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "{}").await;
    assert_eq!(client.head().await.0, 200);
}

#[tokio::test]
async fn an_endless_answer_goes_on_until_the_peer_goes() {
    let sim = Sim::start(Script::events(["a", "b"]).endless()).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "{}").await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap(), b"data: a\n\n");
    for _ in 0..1000 {
        assert_eq!(client.chunk().await.unwrap(), b"data: b\n\n");
    }
    drop(client);
    assert!(sim.until(|sim| sim.chats()[0].outcome == Outcome::PeerClosed, LONG).await);
}

#[tokio::test]
async fn refusals_come_as_they_are_scripted() {
    for (script, status, head, body) in [
        (faults::firewall_page(), 405, "text/html", "<!doctypehtml>"),
        (faults::redirect("http://127.0.0.1:1/"), 302, "location: http://127.0.0.1:1/", ""),
        (faults::detail(400, "no"), 400, "application/json", r#"{"detail":"no"}"#),
        (faults::api_error(429, "1302", "busy"), 429, "json", r#""code":"1302""#),
        (faults::empty(), 200, "text/event-stream", ""),
        (faults::web_error(426, "old"), 200, "text/event-stream", r#""code":426"#),
        (faults::web_error("BUSY", "x"), 200, "text/event-stream", r#""code":"BUSY""#),
        (
            Script::status(529, "text/plain", "later").header("retry-after", "7"),
            529,
            "retry-after: 7",
            "later",
        ),
    ] {
        let sim = Sim::start(script).await.unwrap();
        let response = Client::connect(sim.addr()).await.chat(API, "t", "{}").await;
        assert_eq!(response.status, status);
        assert!(response.head.contains(head), "{}", response.head);
        assert!(response.text().contains(body), "{}", response.text());
        assert_eq!(sim.chats()[0].outcome, Outcome::Whole);
    }
}

#[tokio::test]
async fn failures_come_first_and_then_the_answer() {
    let failure = Script::status(503, "text/plain", "not yet");
    let sim = Sim::start(fails_first(2, failure.clone(), Script::events(["a"]))).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.chat(WEB, "t", "{}").await.status);
    }
    assert_eq!(statuses, [503, 503, 200, 200]);
    // A new plan counts from its own start, whatever was asked before.
    sim.set_plan(sequence(vec![Script::events(["a"]), failure]));
    statuses.clear();
    for _ in 0..3 {
        statuses.push(client.chat(WEB, "t", "{}").await.status);
    }
    assert_eq!(statuses, [200, 503, 503]);
}
