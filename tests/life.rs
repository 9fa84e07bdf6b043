//! How long things are held, and that they are let go.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use z2api_tests::web::{END, PIECE, fine, stuck};
use z2api_tests::{Gateway, LONG, PATIENCE, Raw, chat_request, pass_long};
use z2api_upstream_sim::{Outcome, Script};
use z2api_wire::event::Dialect;

async fn gateway(plan: Script, slots: &str, queue: &str) -> Gateway {
    let variables = [("MAX_CONCURRENT_CONNECTIONS", slots), ("CONNECTION_QUEUE_SIZE", queue)];
    Gateway::with(Dialect::ZaiWeb, plan, &variables).await
}

fn streamed() -> Value {
    json!({"stream": true})
}

#[tokio::test]
async fn a_stream_holds_its_slot_until_its_last_byte() {
    let gateway = gateway(stuck(), "1", "0").await;
    let mut first = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!(first.status, 200);
    first.event().await.expect("a chunk");
    assert_eq!(gateway.in_flight(), 1, "the head is out, the slot is not free");
    let refused = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!(refused.status, 503);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(refused.json().await["error"]["code"], "server_full");
    drop(first);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    gateway.sim.set_plan(fine());
    let reply = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!(reply.events().await.last().unwrap(), "[DONE]");
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

#[tokio::test]
async fn a_hang_up_gives_the_slot_back_and_closes_the_upstream() {
    for (plan, fields) in [
        (stuck(), streamed()),
        (Script::events([PIECE]).endless(), streamed()),
        (stuck(), json!({"stream": false})),
        (fine().head_after(PATIENCE), streamed()),
        (fine().head_after(PATIENCE), json!({"stream": false})),
    ] {
        let gateway = gateway(plan, "1", "0").await;
        let body = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}],
            "stream": fields["stream"]});
        let asked = async {
            let mut reply = gateway.post(&body).await;
            reply.event().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = asked => {}
            is_asked = gateway.sim.until(|sim| sim.open_streams() == 1, PATIENCE) => assert!(is_asked),
        }
        assert!(gateway.sim.until(|sim| sim.open_streams() == 0, PATIENCE).await, "{fields}");
        assert_eq!(gateway.sim.chats()[0].outcome, Outcome::PeerClosed);
        gateway.until(|gateway| gateway.in_flight() == 0).await;
        let line = &gateway.lines("response", 1).await[0];
        assert_eq!((&line["status_code"], &line["level"]), (&json!(499), &json!("INFO")));
        let status = gateway.get("/status").await.json().await;
        assert_eq!(status["error_count"], 0, "a hang-up is nobody's error");
    }
}

#[tokio::test]
async fn who_waits_is_next_and_who_finds_no_place_is_refused() {
    let gateway = gateway(stuck(), "1", "1").await;
    let first = gateway.chat("GLM-4.5", streamed()).await;
    let (second, ()) = tokio::join!(gateway.chat("GLM-4.5", json!({})), async {
        let queued = async || gateway.get("/status").await.json().await["queued"] == 1;
        while !queued().await {}
        let third = gateway.chat("GLM-4.5", json!({})).await;
        assert_eq!(third.status, 503);
        assert_eq!(gateway.get("/health").await.status, 200, "health needs no slot");
        gateway.sim.set_plan(fine());
        drop(first);
    });
    assert_eq!(second.status, 200);
    assert_eq!(gateway.sim.chat_requests(), 2);
}

#[tokio::test]
async fn a_place_in_the_queue_is_good_for_its_time_only() {
    let variables = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("QUEUE_TIMEOUT", "50")];
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck(), &variables).await;
    let _first = gateway.chat("GLM-4.5", streamed()).await;
    let second = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!((second.status, second.header("retry-after").is_some()), (503, true));
    assert_eq!(second.json().await["error"]["code"], "queue_timeout");
}

#[tokio::test]
async fn a_stop_lets_streams_finish_and_takes_nothing_new() {
    let paced = Script::events([PIECE, PIECE, PIECE, END]).pace(Duration::from_millis(100));
    let gateway = Gateway::start(Dialect::ZaiWeb, paced).await;
    let mut reply = gateway.chat("GLM-4.5", streamed()).await;
    reply.event().await.expect("a chunk");
    gateway.stop();
    let refused = async || TcpStream::connect(gateway.address).await.is_err();
    let gone = async { while !refused().await {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("no new connections");
    let events = reply.events().await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    let log = gateway.stopped().await;
    let lines = log.lines();
    assert!(
        lines.iter().any(|line| line.contains("\"response\"") && line.contains(":200,")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_stream_that_outlives_the_grace_is_told_so() {
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck(), &[("SHUTDOWN_GRACE", "0")]).await;
    let mut reply = gateway.chat("GLM-4.5", streamed()).await;
    reply.event().await.expect("a chunk");
    gateway.stop();
    let events = reply.events().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "server_shutting_down");
    gateway.stopped().await;
}

#[tokio::test]
async fn an_idle_connection_ends_at_once_when_the_gateway_stops() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    gateway.get("/health").await.text().await;
    gateway.stop();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    gateway.stopped().await;
}

/// With the clock paused, time jumps to the next timer whenever nothing else can happen: without
/// a timer in the connection this would wait for ever, which the outer timeout would end.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_not_kept() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    for head in ["", "GET /hea"] {
        let mut peer = TcpStream::connect(gateway.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut peer, head.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(600), peer.read_to_end(&mut rest));
        closed.await.expect("closed by the server").ok();
    }
}

#[tokio::test]
async fn a_silent_upstream_does_not_make_a_silent_stream() {
    let late = fine().head_after(Duration::from_millis(1500));
    let variables = [("CONNECTION_CHECK_INTERVAL", "1")];
    let gateway = Gateway::with(Dialect::ZaiWeb, late, &variables).await;
    let reply = gateway.chat("GLM-4.5", streamed()).await;
    assert_eq!(reply.status, 200);
    let text = reply.text().await;
    assert!(text.contains("\"content\":\"tide \"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let beats = [("CONNECTION_CHECK_INTERVAL", "10")];
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck(), &beats).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(chat_request(true, "")).await;
    client.until("tide").await;
    pass_long().await;
    client.until(": keep-alive\n\n").await;
    let off = [("DISABLE_CONNECTION_CHECK", "true"), ("STREAM_IDLE_TIMEOUT", LONG)];
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck(), &[&beats[..], &off].concat()).await;
    let asked = async { gateway.chat("GLM-4.5", streamed()).await.text().await };
    let text = gateway.out_of_time(1, asked).await;
    assert!(!text.contains("keep-alive"), "{text}");
}

#[tokio::test]
async fn a_request_may_not_hold_its_slot_for_ever() {
    for stream in [true, false] {
        let gateway =
            Gateway::with(Dialect::ZaiWeb, stuck(), &[("MAX_CONNECTION_TIME", LONG)]).await;
        let asked = async {
            let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
            assert_eq!(reply.status, if stream { 200 } else { 504 });
            reply.text().await
        };
        let text = gateway.out_of_time(1, asked).await;
        assert!(text.contains("max_connection_time"), "{text}");
    }
}

/// Whether the upstream is silent at first or later, and whether or not heartbeats begin the answer.
#[tokio::test]
async fn a_silent_upstream_does_not_hold_a_slot_for_longer_either() {
    for beats in ["false", "true"] {
        let variables = [
            ("MAX_CONNECTION_TIME", LONG),
            ("DISABLE_CONNECTION_CHECK", beats),
            ("LOG_PROBES", "false"),
        ];
        let silent = fine().head_after(Duration::from_secs(600));
        let gateway = Gateway::with(Dialect::ZaiWeb, silent, &variables).await;
        let reply = gateway.out_of_time(0, gateway.chat("GLM-4.5", streamed())).await;
        assert_eq!(reply.status, 504);
        assert_eq!(reply.json().await["error"]["code"], "max_connection_time");
        assert_eq!(gateway.lines("response", 1).await[0]["attempts"][0]["outcome"], "given_up");
        gateway.until(|gateway| gateway.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn short_of_memory_nothing_new_is_taken() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("MEMORY_LIMIT_MB", "16")]).await;
    // More than the limit, touched, so that it is resident.
    let ballast = vec![1u8; 32 * 1024 * 1024];
    let refused = async || gateway.chat("GLM-4.5", json!({})).await.status == 503;
    let waiting = async { while !refused().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a refusal");
    assert_eq!(gateway.get("/health").await.status, 200);
    drop(ballast);
}

#[tokio::test]
async fn an_endless_stream_ends_with_its_time_too() {
    let endless = Script::events([PIECE]).endless();
    let gateway = Gateway::with(Dialect::ZaiWeb, endless, &[("MAX_CONNECTION_TIME", LONG)]).await;
    let reply = gateway.chat("GLM-4.5", streamed()).await;
    pass_long().await;
    let events = tokio::time::timeout(PATIENCE, reply.events()).await.expect("an end");
    assert!(events.last().unwrap().contains("max_connection_time"), "{:?}", events.last());
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

#[tokio::test]
async fn an_endless_stream_does_not_outlive_the_grace() {
    let endless = Script::events([PIECE]).endless();
    let gateway = Gateway::with(Dialect::ZaiWeb, endless, &[("SHUTDOWN_GRACE", "0")]).await;
    let mut reply = gateway.chat("GLM-4.5", streamed()).await;
    reply.event().await.expect("a chunk");
    gateway.stop();
    let events = tokio::time::timeout(PATIENCE, reply.events()).await.expect("an end");
    assert!(events.last().unwrap().contains("server_shutting_down"), "{:?}", events.last());
    gateway.stopped().await;
}

#[tokio::test]
async fn an_endless_answer_is_not_gathered_without_end() {
    let large = "tide ".repeat(200_000);
    let web = serde_json::to_string(
        &json!({"type": "chat:completion", "data": {"delta_content": large, "phase": "answer"}}),
    );
    let api = serde_json::to_string(&json!({"choices": [{"delta": {"content": large}}]}));
    for (dialect, piece) in [(Dialect::ZaiWeb, web), (Dialect::OpenAi, api)] {
        let gateway = Gateway::start(dialect, Script::events([piece.unwrap()]).endless()).await;
        let reply = gateway.chat("GLM-4.5", json!({})).await;
        assert_eq!(reply.status, 502);
        assert_eq!(reply.json().await["error"]["code"], "upstream_too_large");
        gateway.until(|gateway| gateway.in_flight() == 0).await;
        assert!(gateway.sim.until(|sim| sim.open_streams() == 0, PATIENCE).await);
    }
}
