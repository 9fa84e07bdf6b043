//! Who does not keep to the rules, or finds no place, is counted and told: what came of it, whose it
//! was, and nothing of what was sent. A process of its own, since what libraries say goes to one
//! place.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};
use z2api_observability::{LogGuard, LogSink, MemoryLog, subscriber};
use z2api_tests::web::fine;
use z2api_tests::{
    Answer, Certificate, Gateway, LONG, PATIENCE, Raw, answers, listen_as, pass_long,
};
use z2api_wire::event::Dialect;

/// What must be in no line.
const SECRET: &str = "sk-a-key-that-was-sent-too-early";

static LOG: LazyLock<(MemoryLog, LogGuard)> = LazyLock::new(|| {
    let (sink, log, guard) = LogSink::memory();
    let (all, _filter) = subscriber(sink, "warn").unwrap();
    listen_as(all);
    (log, guard)
});

async fn gateway(variables: &[(&str, &str)]) -> Gateway {
    LazyLock::force(&LOG);
    Gateway::with(Dialect::ZaiWeb, fine(), variables).await
}

/// All lines about connections, of whatever gateway of this process.
fn lines() -> Vec<Value> {
    let lines = LOG.0.lines();
    assert!(!lines.concat().contains(SECRET), "{lines:?}");
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "connection").collect()
}

fn lines_about(peer: SocketAddr) -> Vec<Value> {
    lines().into_iter().filter(|line| line["peer"] == peer.to_string()).collect()
}

/// The one line about a peer, once it is there.
async fn told(gateway: &Gateway, peer: SocketAddr) -> Value {
    gateway.until(|_| !lines_about(peer).is_empty()).await;
    let mut lines = lines_about(peer);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = lines.remove(0);
    assert_eq!((&line["level"], &line["times"]), (&json!("WARN"), &json!(1)), "{line}");
    line
}

fn counted(metrics: &str, kind: &str, count: usize) -> bool {
    let sample = format!("z2api_connections_dropped_total{{kind=\"{kind}\"}} {count}");
    metrics.lines().any(|line| line == sample)
}

/// Whether the metrics come to count so many.
async fn counts(gateway: &Gateway, kind: &str, count: usize) {
    let counting = async {
        while !counted(&gateway.get("/metrics").await.text().await, kind, count) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, counting).await.unwrap_or_else(|_| panic!("{count} {kind}"));
}

/// An answer that no request of ours led to is like all others.
fn is_ours(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    for line in ["connection: close", "access-control-allow-origin: *"] {
        assert!(answer.has(line), "{}", answer.head);
    }
    for start in ["x-request-id: req_", "server-timing: gateway;dur=", "date: "] {
        assert!(answer.head.lines().any(|line| line.starts_with(start)), "{}", answer.head);
    }
}

fn id(answer: &Answer) -> Value {
    answer.head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().into()
}

/// A connection from an address of its own. Ports are used again: a line about an earlier peer, or one of another
/// test, would be taken for one about this.
async fn connect(to: SocketAddr) -> (Raw, SocketAddr) {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    let socket = TcpSocket::new_v4().unwrap();
    // Only Linux has all of 127.0.0.0/8. Elsewhere the port must do.
    let _ = socket.bind(([127, 1, high, low], 0).into());
    let socket = socket.connect(to).await.expect("a connection");
    let address = socket.local_addr().unwrap();
    (Raw { socket }, address)
}

/// Says it on a connection of its own, and reads to the end.
async fn say(gateway: &Gateway, said: &str) -> (SocketAddr, Vec<Answer>) {
    let (mut peer, address) = connect(gateway.address).await;
    peer.send(said).await;
    (address, answers(&peer.to_the_end().await))
}

#[tokio::test]
async fn what_is_no_request_is_answered_counted_and_told() {
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", SECRET.repeat(4000));
    for (said, status, code, kind) in [
        (format!("{SECRET}\r\n\r\n"), 400, "malformed_request", "malformed"),
        (
            format!("GET / HTTP/1.1\r\nauthorization : {SECRET}\r\n\r\n"),
            400,
            "malformed_request",
            "malformed",
        ),
        (large, 431, "head_too_large", "head_too_large"),
    ] {
        for http2 in ["false", "true"] {
            let gateway = gateway(&[("ENABLE_HTTP2", http2)]).await;
            let (peer, answers) = say(&gateway, &said).await;
            assert_eq!(answers.len(), 1);
            is_ours(&answers[0], status, code);
            let line = told(&gateway, peer).await;
            assert_eq!((&line["kind"], &line["request_id"]), (&json!(kind), &id(&answers[0])));
            assert!(line["reason"].is_string(), "{line}");
            counts(&gateway, kind, 1).await;
        }
    }
}

#[tokio::test]
async fn what_follows_good_requests_and_is_none_is_answered_after_them() {
    let gateway = gateway(&[]).await;
    let good = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n";
    let (peer, answers) = say(&gateway, &format!("{}no request\r\n\r\n", good.repeat(3))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 400]);
    is_ours(&answers[3], 400, "malformed_request");
    assert_eq!(told(&gateway, peer).await["kind"], "malformed");
}

#[tokio::test]
async fn http2_that_is_none_is_counted_and_told() {
    let gateway = gateway(&[("ENABLE_HTTP2", "true")]).await;
    let (mut peer, address) = connect(gateway.address).await;
    peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    peer.send(SECRET.repeat(10)).await;
    peer.to_the_end().await;
    assert_eq!(told(&gateway, address).await["kind"], "malformed");
    counts(&gateway, "malformed", 1).await;
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_has_hung_up_and_no_more() {
    let gateway = gateway(&[("ENABLE_HTTP2", "true")]).await;
    let settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let halves = ["GET /hea", "GET / HTTP/1.1\r\nhost: a\r\n", "PRI * HT"];
    for half in halves {
        for resets in [false, true] {
            let mut peer = Raw::connect(gateway.address).await;
            peer.send(half).await;
            if resets { peer.reset() } else { drop(peer) }
        }
    }
    counts(&gateway, "hung_up", 6).await;
    let (mut peer, address) = connect(gateway.address).await;
    peer.send(settings).await;
    drop(peer);
    gateway.until(|gateway| gateway.connections() == 0).await;
    assert!(lines_about(address).is_empty());
    let metrics = gateway.get("/metrics").await.text().await;
    assert!(!metrics.contains("kind=\"malformed\""), "{metrics}");
}

/// What the peer gets is looked at with the paused clock in the tests of slow peers.
#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_answered_counted_and_told() {
    for (half, http2) in [(SECRET, "false"), (SECRET, "true"), ("PRI * HT", "true")] {
        let gateway = gateway(&[("ENABLE_HTTP2", http2), ("CLIENT_HEAD_TIMEOUT", "3000")]).await;
        let (peer, answers) = say(&gateway, half).await;
        is_ours(&answers[0], 408, "request_timeout");
        let timing = answers[0].head.lines().find_map(|line| line.strip_prefix("server-timing: "));
        let took: f64 = timing.unwrap().strip_prefix("gateway;dur=").unwrap().parse().unwrap();
        assert!((3000.0..4000.0).contains(&took), "{took}");
        let line = told(&gateway, peer).await;
        assert_eq!((&line["kind"], &line["request_id"]), (&json!("slow_head"), &id(&answers[0])));
        counts(&gateway, "slow_head", 1).await;
    }
}

#[tokio::test]
async fn beyond_the_reserve_a_connection_is_answered_counted_and_told() {
    let gateway =
        gateway(&[("MAX_CLIENT_CONNECTIONS", "1"), ("CLIENT_HEAD_TIMEOUT", "600000")]).await;
    let silent = gateway.silent(1 + 64).await;
    let (peer, answers) = say(&gateway, "").await;
    let answer = &answers[0];
    is_ours(answer, 503, "too_many_connections");
    assert!(answer.has("retry-after: 5"), "{}", answer.head);
    let line = told(&gateway, peer).await;
    assert_eq!((&line["kind"], &line["request_id"]), (&json!("too_many"), &id(answer)));
    drop(silent);
    counts(&gateway, "too_many", 1).await;
}

#[tokio::test]
async fn a_flood_is_counted_each_time_and_told_once_a_second() {
    const FLOOD: usize = 300;
    let gateway = gateway(&[]).await;
    let begun = Instant::now();
    let mut peers = Vec::new();
    let one = async || {
        let (peer, answers) = say(&gateway, "no request\r\n\r\n").await;
        is_ours(&answers[0], 400, "malformed_request");
        peer.to_string()
    };
    for _ in 0..FLOOD {
        peers.push(one().await);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    pass_long().await;
    peers.push(one().await);
    counts(&gateway, "malformed", FLOOD + 1).await;
    gateway.until(|_| lines().iter().any(|line| line["peer"] == peers[FLOOD])).await;
    // What each line tells of, and the place of its peer in the flood.
    let mut told = Vec::new();
    for line in lines() {
        let place = peers.iter().position(|peer| line["peer"] == **peer);
        told.extend(place.map(|place| (line["times"].as_u64().unwrap() as usize, place)));
    }
    // One at once, one for each second that has passed, and the one after the ten seconds.
    assert!((2..=2 + seconds).contains(&told.len()), "{told:?}");
    let mut sum = 0;
    for (times, place) in &told {
        sum += times;
        assert_eq!(sum, place + 1, "each is told of once: {told:?}");
    }
}

/// The count, as a client that speaks TLS sees it.
async fn counts_in_tls(gateway: &Gateway, certificate: &Certificate, kind: &str, count: usize) {
    let counting = async {
        loop {
            let mut stream = certificate.connect(gateway.address, &[]).await.unwrap();
            let asked = "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut got = String::new();
            let _ = stream.read_to_string(&mut got).await;
            if counted(&got, kind, count) {
                return;
            }
        }
    };
    timeout(PATIENCE, counting).await.unwrap_or_else(|_| panic!("{count} {kind}"));
}

#[tokio::test]
async fn who_does_not_agree_on_tls_is_counted_and_told() {
    LazyLock::force(&LOG);
    let certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[]).await;
    let (mut plain, peer) = connect(gateway.address).await;
    plain.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: {SECRET}\r\n\r\n")).await;
    plain.to_the_end().await;
    let line = told(&gateway, peer).await;
    assert_eq!(line["kind"], "no_tls");
    counts_in_tls(&gateway, &certificate, "no_tls", 1).await;
    // One that does not trust the certificate says so. Lines of a kind are a second apart.
    let other = certificate.gateway(fine(), &[]).await;
    assert!(Certificate::make().connect(other.address, &[]).await.is_err());
    counts_in_tls(&other, &certificate, "no_tls", 1).await;
    let told =
        |line: &Value| line["reason"].as_str().is_some_and(|why| why.contains("fatal alert"));
    other.until(|_| lines().iter().any(told)).await;
    // One that breaks off says nothing.
    let mut gone = Raw::connect(other.address).await;
    gone.send(b"\x16\x03\x01\x02\x00\x01").await;
    drop(gone);
    counts_in_tls(&other, &certificate, "hung_up", 1).await;
}

#[tokio::test]
async fn within_tls_a_bad_request_gets_the_same_answer() {
    LazyLock::force(&LOG);
    let certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[("CLIENT_HEAD_TIMEOUT", LONG)]).await;
    for (said, status, code) in
        [("no request\r\n\r\n", 400, "malformed_request"), ("GET /hea", 408, "request_timeout")]
    {
        let mut stream = certificate.connect(gateway.address, &[]).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        if status == 408 {
            pass_long().await;
        }
        let mut got = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut got)).await.expect("an end").unwrap();
        is_ours(&answers(&got)[0], status, code);
    }
}

/// A socket for both families shows them within IPv6.
#[tokio::test]
async fn an_address_of_ipv4_is_one_on_a_socket_for_both_families() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let gateway = gateway(&[("HOST", "::"), ("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let v4 = SocketAddr::from(([127, 0, 0, 1], gateway.address.port()));
    let (mut peer, address) = connect(v4).await;
    peer.send("GET /health HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4\r\n\r\n").await;
    peer.until("uptime_seconds").await;
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(line["client_ip"], "1.2.3.4", "the proxy is trusted");
    peer.send("no request\r\n\r\n").await;
    assert_eq!(told(&gateway, address).await["kind"], "malformed");
}
