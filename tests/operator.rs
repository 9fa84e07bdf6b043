//! The operator sees the gateway when it is crowded and when memory is short, too.

use std::sync::Arc;

use serde_json::json;
use tokio::time::timeout;
use z2api_observability::MemoryReading;
use z2api_server::MemorySource;
use z2api_tests::web::fine;
use z2api_tests::{Gateway, PATIENCE, Raw, answers};
use z2api_wire::event::Dialect;

const PAGES: [&str; 5] =
    ["/metrics", "/status", "/dashboard", "/dashboard/main.js", "/dashboard/events"];
const APART: (&str, &str) = ("ADMIN_ADDR", "127.0.0.1:0");
const ONE: (&str, &str) = ("MAX_CLIENT_CONNECTIONS", "1");
const RESERVE: usize = 64;
const OPERATORS: usize = 64;

async fn web(variables: &[(&str, &str)], memory: Option<MemorySource>) -> Gateway {
    Gateway::with_memory(Dialect::ZaiWeb, fine(), variables, memory).await
}

/// So many connections that say nothing, all that there is room for: the next is turned away.
async fn crowd(at: std::net::SocketAddr, room: usize) -> Vec<Raw> {
    let mut silent = Vec::new();
    for _ in 0..room {
        silent.push(Raw::connect(at).await);
    }
    let got = Raw::connect(at).await.to_the_end().await;
    assert!(answers(&got)[0].body.contains("too_many_connections"), "{got:?}");
    silent
}

async fn check_operator_sees(gateway: &Gateway) {
    for path in PAGES {
        assert_eq!(gateway.get_as_operator(path, &[]).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn clients_cannot_crowd_the_operator_out() {
    let gateway = web(&[APART, ONE], None).await;
    let silent = crowd(gateway.address, 1 + RESERVE).await;
    check_operator_sees(&gateway).await;
    let metrics = gateway.get_as_operator("/metrics", &[]).await.text().await;
    assert!(metrics.contains("z2api_connections_dropped_total{kind=\"too_many\"} 1\n"));
    drop(silent);
}

/// Of 100 MB all but 4: no client is let in but to ask how the gateway is, and the reserve is full.
#[tokio::test]
async fn no_shortage_of_memory_closes_the_operators_way_in() {
    let short: MemorySource =
        Arc::new(|| MemoryReading { resident: 96 * 1024 * 1024, group: None });
    let gateway = web(&[APART, ("MEMORY_LIMIT_MB", "100")], Some(short)).await;
    let silent = crowd(gateway.address, RESERVE).await;
    check_operator_sees(&gateway).await;
    let status = gateway.get_as_operator("/status", &[]).await.json().await;
    assert_eq!(status["memory_state"], "closed");
    drop(silent);
}

#[tokio::test]
async fn the_operators_way_in_has_a_bound_and_takes_no_clients_place() {
    let gateway = web(&[APART, ONE], None).await;
    let silent = crowd(gateway.admin.expect("an address"), OPERATORS).await;
    assert_eq!(gateway.connections(), 0, "none of them is a client's");
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    drop(silent);
    let seen = async { while !is_let_in(&gateway).await {} };
    timeout(PATIENCE, seen).await.expect("who leaves makes room");
    let metrics = gateway.get_as_operator("/metrics", &[]).await.text().await;
    let dropped = |kind: &str| {
        let sample = format!("z2api_connections_dropped_total{{kind=\"{kind}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).expect("a sample").to_owned()
    };
    assert_eq!(dropped("too_many"), "0");
    assert_ne!(dropped("too_many_operators"), "0");
}

async fn is_let_in(gateway: &Gateway) -> bool {
    let mut peer = Raw::connect(gateway.admin.expect("an address")).await;
    peer.send("GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    answers(&peer.to_the_end().await).first().is_some_and(|answer| answer.status == 200)
}

/// Without an address of its own, what is about the gateway is answered from the reserve.
#[tokio::test]
async fn a_crowded_gateway_shows_itself_to_a_few() {
    let gateway = web(&[ONE], None).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("uptime_seconds").await;
    for path in PAGES {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{path}");
    }
    assert_eq!(gateway.get("/v1/models").await.status, 503);
    let mut watchers = Vec::new();
    for status in [200; 16].into_iter().chain([503; 20]) {
        let watcher = gateway.get("/dashboard/events").await;
        assert_eq!(watcher.status, status, "the {}th", watchers.len() + 1);
        watchers.push(watcher);
    }
    assert_eq!(gateway.get("/health").await.status, 200, "the reserve is not theirs alone");
    drop(client);
}
