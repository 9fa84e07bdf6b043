//! Peers that are slow, silent, stuck or gone, and too many of them. Good ones go on meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use z2api_tests::web::{endless, fine, stuck};
use z2api_tests::{Gateway, KEY, PATIENCE, Raw, answers, chat_request};
use z2api_upstream_sim::{Outcome, Plan};
use z2api_wire::event::Dialect;

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n";

async fn web(plan: impl Plan, variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::ZaiWeb, plan, variables).await
}

fn post(head: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n{head}\r\n"
    )
}

/// How long it takes until a peer that says this is let go, and what it gets.
async fn let_go(gateway: &Gateway, said: &str) -> (u64, Vec<u8>) {
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(said).await;
    closes(&mut peer).await
}

/// How many seconds it takes until the gateway closes, by the paused clock, and what comes before.
async fn closes(peer: &mut Raw) -> (u64, Vec<u8>) {
    let begun = Instant::now();
    let mut got = Vec::new();
    let closed = timeout(Duration::from_secs(3600), peer.socket.read_to_end(&mut got)).await;
    closed.expect("closed by the gateway").ok();
    (begun.elapsed().as_secs(), got)
}

/// With the clock paused, time jumps to the next timer whenever nothing else can happen: what takes
/// ten seconds takes ten seconds exactly, and what has no deadline is found out at once.
#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_get_to_the_point_is_let_go() {
    const HALF: [&str; 4] =
        ["GET /hea", "GET / HTTP/1.1\r\n", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"];
    // Without HTTP/2 the last one is no beginning of anything.
    for (http2, halves) in [("false", &HALF[..3]), ("true", &HALF[..])] {
        let gateway = web(fine(), &[("ENABLE_HTTP2", http2)]).await;
        assert_eq!(let_go(&gateway, "").await, (10, Vec::new()), "nothing said");
        for half in halves {
            let (seconds, got) = let_go(&gateway, half).await;
            assert_eq!((seconds, answers(&got)[0].status), (10, 408), "{half:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_let_go_though_it_never_pauses() {
    let gateway = web(fine(), &[]).await;
    let mut peer = Raw::connect(gateway.address).await;
    let begun = Instant::now();
    let drips = async {
        loop {
            peer.send("x").await;
            if let (_, true) = peer.within(Duration::from_millis(500)).await {
                return;
            }
        }
    };
    timeout(Duration::from_secs(600), drips).await.expect("closed by the gateway");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_between_requests_for_its_time_only() {
    let gateway = web(fine(), &[("CLIENT_IDLE_TIMEOUT", "40000")]).await;
    let mut peer = Raw::connect(gateway.address).await;
    for _ in 0..3 {
        peer.send(HEALTH).await;
        peer.until("uptime_seconds").await;
        sleep(Duration::from_secs(39)).await;
    }
    peer.send(HEALTH).await;
    assert_eq!(closes(&mut peer).await.0, 40);
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_its_deadline_too() {
    let gateway = web(fine(), &[("CLIENT_HEAD_TIMEOUT", "7000")]).await;
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(HEALTH).await;
    peer.answer().await;
    sleep(Duration::from_secs(20)).await;
    peer.send("GET /hea").await;
    let (seconds, got) = closes(&mut peer).await;
    let answer = &answers(&got)[0];
    assert_eq!((seconds, answer.status), (7, 408));
    assert!(answer.has("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_deadline_and_the_connection_ends_with_it() {
    let gateway = web(fine(), &[("CLIENT_BODY_TIMEOUT", "3000")]).await;
    for (framing, body) in
        [("content-length: 100\r\n", "{\"m"), ("transfer-encoding: chunked\r\n", "64\r\n{\"m")]
    {
        let (seconds, got) = let_go(&gateway, &format!("{}{body}", post(framing))).await;
        let answer = &answers(&got)[0];
        assert_eq!((seconds, answer.status), (3, 408), "{answer:?}");
        assert!(answer.has("connection: close") && answer.body.contains("request_timeout"));
    }
    assert_eq!(gateway.in_flight(), 0);
    assert_eq!(gateway.sim.chat_requests(), 0, "it has never held a slot");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_refused_long_before_its_deadline() {
    let gateway = web(fine(), &[]).await;
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(post("content-length: 100000\r\n")).await;
    let begun = Instant::now();
    let drips = async {
        loop {
            peer.send(" ").await;
            let (got, _) = peer.within(Duration::from_millis(200)).await;
            if !got.is_empty() {
                return got;
            }
        }
    };
    let got = timeout(Duration::from_secs(600), drips).await.expect("an answer");
    assert!(String::from_utf8(got).unwrap().starts_with("HTTP/1.1 408"));
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_refused_body_does_not_destroy_the_refusal() {
    let gateway = web(fine(), &[("MAX_BODY_MB", "1")]).await;
    let body = vec![b' '; 24 * 1024 * 1024];
    for framing in [
        format!("content-length: {}\r\n", body.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}", body.len()),
    ] {
        let mut peer = Raw::connect(gateway.address).await;
        // All of it is sent before anything is read, as simple clients do.
        peer.send(post(&framing)).await;
        peer.send(&body).await;
        let answers = answers(&peer.to_the_end().await);
        assert_eq!((answers.len(), answers[0].status), (1, 413));
        assert!(answers[0].has("connection: close"));
    }
}

/// How a client may go.
#[derive(Debug, Clone, Copy)]
enum Goes {
    Closes,
    Resets,
    HalfCloses,
    ClosesWithMoreSaid,
}

#[tokio::test]
async fn however_a_client_goes_the_upstream_is_let_go_and_the_slot_comes_back() {
    let silent = || fine().head_after(Duration::from_secs(600));
    for (plan, stream) in [(stuck(), true), (silent(), true), (silent(), false), (endless(), true)]
    {
        for goes in [Goes::Closes, Goes::Resets, Goes::HalfCloses, Goes::ClosesWithMoreSaid] {
            let gateway = web(plan.clone(), &[]).await;
            let mut client = Raw::connect(gateway.address).await;
            client.send(chat_request(stream, "")).await;
            assert!(gateway.sim.until(|sim| sim.open_streams() == 1, PATIENCE).await);
            let mut kept = None;
            match goes {
                Goes::Closes => drop(client),
                Goes::Resets => client.reset(),
                Goes::HalfCloses => {
                    client.socket.shutdown().await.unwrap();
                    kept = Some(client);
                }
                // hyper does not look for the end of a connection that has said more.
                Goes::ClosesWithMoreSaid => {
                    client.send(HEALTH).await;
                    drop(client);
                }
            }
            let gone = gateway.sim.until(|sim| sim.open_streams() == 0, PATIENCE).await;
            assert!(gone, "{goes:?}, streamed: {stream}");
            assert_eq!(gateway.sim.chats()[0].outcome, Outcome::PeerClosed);
            gateway.until(|gateway| gateway.in_flight() == 0).await;
            let line = &gateway.lines("response", 1).await[0];
            assert_eq!(line["status_code"], 499, "{goes:?}");
            drop(kept);
        }
    }
}

#[tokio::test]
async fn a_reader_that_is_stuck_is_let_go_and_the_slot_comes_back() {
    let gateway = web(endless(), &[("CLIENT_STALL_TIMEOUT", "1000")]).await;
    let _never = gateway.unread_stream().await;
    let mut drips = gateway.unread_stream().await;
    let drip = async {
        while let Ok(1) = drips.socket.read(&mut [0]).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let let_go = async {
        gateway.until(|gateway| gateway.in_flight() == 0).await;
    };
    tokio::select! {
        () = let_go => {}
        () = drip => gateway.until(|gateway| gateway.in_flight() == 0).await,
    }
    assert!(gateway.sim.until(|sim| sim.open_streams() == 0, PATIENCE).await);
    for line in gateway.lines("response", 2).await {
        assert_eq!(
            (&line["status_code"], &line["error_kind"]),
            (&json!(499), &json!("client_stalled"))
        );
    }
    assert_eq!(gateway.chat("GLM-4.5", json!({"model": "none"})).await.status, 404, "others go on");
}

/// The timer within the answer does not run while the client does not read.
#[tokio::test]
async fn a_slot_is_not_held_for_ever_by_a_client_that_does_not_read() {
    let gateway = web(endless(), &[("MAX_CONNECTION_TIME", "2000")]).await;
    let _never = gateway.unread_stream().await;
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(line["error_kind"], "max_connection_time", "the gateway let go: {line}");
    assert_eq!(line["error_owner"], "client", "for it did not read: {line}");
    let text = gateway.get("/metrics").await.text().await;
    let line = "z2api_connections_dropped_total{kind=\"held_too_long\"} 1";
    assert!(text.lines().any(|known| known == line), "{text}");
}

#[tokio::test]
async fn beyond_the_limit_connections_are_told_so_and_health_is_answered() {
    let gateway = web(fine(), &[("MAX_CLIENT_CONNECTIONS", "3")]).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut peer = Raw::connect(gateway.address).await;
        peer.send(HEALTH).await;
        peer.until("uptime_seconds").await;
        kept.push(peer);
    }
    let health = gateway.get("/health").await;
    assert_eq!((health.status, health.header("connection")), (200, Some("close")));
    let refused = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!((refused.status, refused.header("connection")), (503, Some("close")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.json().await["error"]["code"], "too_many_connections");
    let metrics = gateway.get("/metrics").await.text().await;
    assert!(metrics.contains("z2api_rejections_total{reason=\"too_many_connections\"} 1\n"));
    kept[0].send(HEALTH).await;
    kept[0].until("uptime_seconds").await;
    drop(kept);
    let served = async { while gateway.chat("GLM-4.5", json!({})).await.status != 200 {} };
    timeout(PATIENCE, served).await.expect("room again");
}

#[tokio::test]
async fn beyond_the_reserve_a_connection_is_closed_with_a_word() {
    let gateway = web(fine(), &[("MAX_CLIENT_CONNECTIONS", "1")]).await;
    let _silent = gateway.silent(1 + 64).await;
    let mut peer = Raw::connect(gateway.address).await;
    let answer = &answers(&peer.to_the_end().await)[0];
    assert_eq!(answer.status, 503);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], "too_many_connections");
}

/// Loopback is exempt, so this takes an address of this machine's own that is not.
#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let Some(own) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let variables = [("HOST", "0.0.0.0"), ("MAX_CONNECTIONS_PER_ADDRESS", "2")];
    let gateway = web(fine(), &variables).await;
    let from_outside = std::net::SocketAddr::new(own, gateway.address.port());
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut peer = Raw::connect(from_outside).await;
        peer.send(HEALTH).await;
        peer.until("uptime_seconds").await;
        kept.push(peer);
    }
    let mut third = Raw::connect(from_outside).await;
    third.send(chat_request(false, "")).await;
    assert_eq!(answers(&third.to_the_end().await)[0].status, 503);
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200, "others have room");
    let trusted = own.to_string();
    gateway.reload(&[&variables[..], &[("TRUSTED_PROXIES", trusted.as_str())]].concat());
    let mut fourth = Raw::connect(from_outside).await;
    fourth.send(chat_request(false, "connection: close\r\n")).await;
    assert_eq!(answers(&fourth.to_the_end().await)[0].status, 200);
}

/// An address of this machine that is not loopback. Nothing is sent for it.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

#[tokio::test]
async fn good_requests_go_on_among_silent_and_dripping_ones() {
    let gateway = web(fine(), &[]).await;
    let mut bad = Vec::new();
    for number in 0..300 {
        let mut peer = Raw::connect(gateway.address).await;
        if number % 2 == 0 {
            peer.send("GET /hea").await;
        }
        bad.push(peer);
    }
    for _ in 0..20 {
        let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
        assert_eq!(reply.events().await.last().unwrap(), "[DONE]");
    }
    drop(bad);
    gateway.until(|gateway| gateway.connections() == 0).await;
}
