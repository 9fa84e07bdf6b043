//! What does not belong: unknown paths, bad HTTP, foreign addresses, a simulator that is gone.

use z2api_upstream_sim::{Script, Sim};

use crate::client::{Client, WEB};

async fn start() -> (Sim, Client) {
    let sim = Sim::start(Script::events(["a"]).stall_after(1)).await.unwrap();
    let client = Client::connect(sim.addr()).await;
    (sim, client)
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let (_sim, mut client) = start().await;
    let response = client.get("/api/v1/auths").await;
    assert_eq!(response.status, 404);
    assert!(response.json()["detail"].is_string());
    assert_eq!(client.get(WEB).await.status, 405);
}

#[tokio::test]
async fn bad_http_ends_the_connection() {
    let (sim, mut client) = start().await;
    client.send("Good evening\r\n\r\n").await;
    assert!(client.rest().await.0.is_empty());
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    let error = Sim::bind("0.0.0.0:0".parse().unwrap(), Script::sse("")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_dropped_simulator_closes_its_connections() {
    let (sim, mut client) = start().await;
    client.ask(WEB, "t", "{}").await;
    client.head().await;
    client.chunk().await;
    drop(sim);
    assert!(client.rest().await.0.is_empty());
}
