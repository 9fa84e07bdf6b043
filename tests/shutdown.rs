//! How the gateway stops: who is served still, who is told, and that nobody is reset.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use z2api_tests::web::{endless, fine, stuck};
use z2api_tests::{Gateway, PATIENCE, Raw, Reply, answers, chat_request, pass_long};
use z2api_upstream_sim::Plan;
use z2api_wire::event::Dialect;

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n";

async fn web(plan: impl Plan, variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::ZaiWeb, plan, variables).await
}

fn streamed() -> Value {
    json!({"stream": true})
}

/// The code of the error that ends a stream.
fn last_words(events: &[String]) -> Value {
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    last["error"]["code"].clone()
}

/// Connects and asks without letting the gateway run meanwhile: it lives on this thread.
fn ask_behind_its_back(gateway: &Gateway, request: &str) -> StdStream {
    let mut socket = StdStream::connect(gateway.address).expect("a connection");
    socket.write_all(request.as_bytes()).expect("sent");
    socket
}

/// All that comes of it; a reset is a panic.
async fn all_of(mut socket: StdStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).expect("no reset");
        all
    });
    read.await.unwrap()
}

#[tokio::test]
async fn it_is_not_ready_at_once_and_serves_on_through_the_delay() {
    let gateway = web(fine(), &[("SHUTDOWN_DELAY", "10")]).await;
    let mut kept = Raw::connect(gateway.address).await;
    kept.send(HEALTH).await;
    assert!(!kept.answer().await.has("connection: close"));
    gateway.stop();
    let not_ready = async { while gateway.get("/health/ready").await.status != 503 {} };
    timeout(PATIENCE, not_ready).await.expect("not ready");
    let reply = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(reply.events().await.last().unwrap(), "[DONE]");
    kept.send(HEALTH).await;
    let answer = answers(&kept.to_the_end().await).pop().unwrap();
    assert!(answer.status == 200 && answer.has("connection: close"), "go elsewhere: {answer:?}");
    pass_long().await;
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn who_waits_at_the_listener_is_answered_and_not_reset() {
    let gateway = web(fine(), &[]).await;
    let waiting: Vec<StdStream> = (0..50).map(|_| ask_behind_its_back(&gateway, HEALTH)).collect();
    let asking = ask_behind_its_back(&gateway, &chat_request(true, ""));
    gateway.stop();
    for socket in waiting {
        let answer = answers(&all_of(socket).await).pop().expect("an answer");
        assert!(answer.status == 200 && answer.has("connection: close"), "{answer:?}");
    }
    // Taken before the stop was heeded, or after.
    let asked = answers(&all_of(asking).await).pop().expect("an answer");
    let refused = asked.status == 503 && asked.body.contains("server_shutting_down");
    assert!(refused || asked.body.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{asked:?}");
    assert!(!refused || asked.head.contains("retry-after: "), "it may come again");
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn a_request_that_races_the_stop_on_a_kept_connection_is_answered() {
    let gateway = web(fine(), &[]).await;
    let mut kept = Raw::connect(gateway.address).await;
    kept.send(HEALTH).await;
    kept.answer().await;
    let kept = kept.socket.into_std().unwrap();
    kept.set_nonblocking(false).unwrap();
    (&kept).write_all(HEALTH.as_bytes()).unwrap();
    gateway.stop();
    let answer = answers(&all_of(kept).await).pop().expect("an answer");
    assert!(answer.status == 200 && answer.has("connection: close"), "{answer:?}");
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn who_has_connected_but_not_asked_yet_may_ask() {
    let gateway = web(fine(), &[]).await;
    let mut fresh = Raw::connect(gateway.address).await;
    gateway.until(|gateway| gateway.connections() == 1).await;
    gateway.stop();
    gateway.until(|gateway| !gateway.is_ready()).await;
    fresh.send(HEALTH).await;
    assert_eq!(answers(&fresh.to_the_end().await)[0].status, 200);
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn who_waits_for_a_slot_is_told() {
    let variables = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("SHUTDOWN_GRACE", "0")];
    let gateway = web(stuck(), &variables).await;
    let first = gateway.chat("GLM-4.5", streamed()).await;
    let (second, ()) = tokio::join!(gateway.chat("GLM-4.5", streamed()), async {
        while gateway.get("/status").await.json().await["queued"] != 1 {}
        gateway.stop();
    });
    assert_eq!(second.status, 503);
    assert_eq!(second.json().await["error"]["code"], "server_shutting_down");
    assert_eq!(last_words(&first.events().await), "server_shutting_down");
    assert_eq!(gateway.ended().await, 1, "who waited had not begun");
}

#[tokio::test]
async fn what_outlives_the_grace_is_told_and_counted() {
    let gateway = web(stuck(), &[("SHUTDOWN_GRACE", "0")]).await;
    let mut streams: Vec<Reply> = Vec::new();
    for _ in 0..20 {
        let mut reply = gateway.chat("GLM-4.5", streamed()).await;
        reply.event().await.expect("a chunk");
        streams.push(reply);
    }
    gateway.sim.set_plan(fine().head_after(Duration::from_secs(600)));
    let (whole, ()) = tokio::join!(gateway.chat("GLM-4.5", json!({})), async {
        gateway.until(|gateway| gateway.in_flight() == 21).await;
        gateway.stop();
    });
    assert_eq!(whole.status, 503);
    for reply in streams {
        // The text's end is proper: nothing hides that it was cut but the error says so.
        let events = reply.events().await;
        assert_eq!(last_words(&events), "server_shutting_down");
        assert!(!events.iter().any(|event| event.contains("\"finish_reason\":\"")), "{events:?}");
    }
    assert_eq!(gateway.ended().await, 21);
}

#[tokio::test]
async fn a_stream_that_never_pauses_is_told_too() {
    let gateway = web(endless(), &[("SHUTDOWN_GRACE", "0")]).await;
    let mut reply = gateway.chat("GLM-4.5", streamed()).await;
    reply.event().await.expect("a chunk");
    gateway.stop();
    let events = timeout(PATIENCE, reply.events()).await.expect("an end");
    assert_eq!(last_words(&events), "server_shutting_down");
    assert_eq!(gateway.ended().await, 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_up_the_stop() {
    let gateway = web(endless(), &[("SHUTDOWN_GRACE", "0")]).await;
    let _never = gateway.unread_stream().await;
    gateway.stop();
    assert_eq!(gateway.ended().await, 1);
}

#[tokio::test]
async fn a_second_stop_cuts_at_once() {
    for (delay, grace) in [("0", "3600"), ("3600", "3600")] {
        let variables = [("SHUTDOWN_DELAY", delay), ("SHUTDOWN_GRACE", grace)];
        let gateway = web(stuck(), &variables).await;
        let mut reply = gateway.chat("GLM-4.5", streamed()).await;
        reply.event().await.expect("a chunk");
        gateway.stop();
        // The first is heeded.
        gateway.until(|gateway| !gateway.is_ready()).await;
        gateway.stop();
        assert_eq!(last_words(&reply.events().await), "server_shutting_down");
        assert_eq!(gateway.ended().await, 1);
    }
}

/// It cannot be told so; but it has not hung up either.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_by_the_stop() {
    let gateway = web(endless(), &[("SHUTDOWN_GRACE", "0")]).await;
    let _never = gateway.unread_stream().await;
    // As much is written as the kernel takes.
    gateway.until(|gateway| gateway.in_flight() == 1).await;
    sleep(Duration::from_millis(200)).await;
    gateway.stop();
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(line["error_kind"], "server_shutting_down", "{line}");
    assert_eq!(line["error_owner"], "gateway", "{line}");
}
