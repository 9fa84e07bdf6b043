//! Answers as they should be.

use std::io::Read;

use flate2::read::GzDecoder;
use z2api_upstream_sim::{Dialect, Outcome, Recorded, Script, Sim};

use crate::client::{API, Client, LONG, WEB};

#[tokio::test]
async fn every_event_is_a_chunk_of_its_own() {
    let sim = Sim::start(Script::events(["a", "b"])).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    let response = client.chat(WEB, "t", "{}").await;
    assert_eq!(response.status, 200);
    assert!(response.head.contains("content-type: text/event-stream"));
    assert_eq!(response.chunks, [b"data: a\n\n", b"data: b\n\n"]);
    assert_eq!(sim.chats()[0].outcome, Outcome::Whole);
    assert_eq!(sim.open_streams(), 0);
}

#[tokio::test]
async fn a_stream_may_come_at_once_or_byte_by_byte() {
    let sim = Sim::start(Script::events(["a", "山"]).together()).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    assert_eq!(client.chat(WEB, "t", "").await.chunks.len(), 1);
    sim.set_plan(Script::events(["a", "山"]).pieces_of(1));
    let response = client.chat(WEB, "t", "").await;
    assert!(response.chunks.iter().all(|chunk| chunk.len() == 1));
    assert_eq!(response.text(), "data: a\n\ndata: 山\n\n");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let sim = Sim::start(|request: &Recorded| Script::events([request.number.to_string()]))
        .await
        .unwrap();
    let mut client = Client::connect(sim.addr()).await;
    for number in 0..5 {
        let response = client.chat(API, "t", "{}").await;
        assert_eq!(response.text(), format!("data: {number}\n\n"));
    }
    assert_eq!(sim.connections(), 1);
    assert_eq!(sim.chats().len(), 5);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let sim = Sim::start(|request: &Recorded| Script::events([request.number.to_string()]))
        .await
        .unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "{}").await;
    client.ask(WEB, "t", "{}").await;
    assert_eq!(client.response().await.text(), "data: 0\n\n");
    assert_eq!(client.response().await.text(), "data: 1\n\n");
}

#[tokio::test]
async fn a_client_that_asks_for_close_gets_it() {
    let sim = Sim::start(Script::status(200, "application/json", "{}")).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client
        .send(format!(
            "POST {WEB} HTTP/1.1\r\nauthorization: Bearer t\r\nconnection: close\r\n\r\n"
        ))
        .await;
    let response = client.response().await;
    assert!(response.head.contains("connection: close"));
    assert_eq!(response.text(), "{}");
    assert!(client.rest().await.0.is_empty());
}

#[tokio::test]
async fn the_path_tells_the_dialect() {
    let sim = Sim::start(|request: &Recorded| {
        Script::events([match request.dialect() {
            Some(Dialect::ZaiWeb) => "web",
            Some(Dialect::OpenAi) => "api",
            None => "neither",
        }])
    })
    .await
    .unwrap();
    let mut client = Client::connect(sim.addr()).await;
    assert_eq!(client.chat(WEB, "t", "").await.text(), "data: web\n\n");
    assert_eq!(client.chat(API, "t", "").await.text(), "data: api\n\n");
    assert!(sim.web_url().ends_with(WEB) && sim.openai_url().ends_with(API));
}

#[tokio::test]
async fn a_compressed_stream_can_be_read_event_by_event() {
    let sim = Sim::start(Script::events(["a", "b"]).gzip().stall_after(1)).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "").await;
    let (_, head) = client.head().await;
    assert!(head.contains("content-encoding: gzip"));
    let chunk = client.chunk().await.unwrap();
    let mut event = [0; 9];
    GzDecoder::new(&chunk[..]).read_exact(&mut event).unwrap();
    assert_eq!(&event, b"data: a\n\n");
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let sim = Sim::start(Script::events(["a"]).until_close()).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "").await;
    let (_, head) = client.head().await;
    assert!(head.contains("connection: close") && !head.contains("chunked"));
    let (body, end) = client.rest().await;
    assert_eq!(body, b"data: a\n\n");
    assert!(end.is_ok());
    assert_eq!(sim.chats()[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn an_answer_nobody_reads_is_not_whole() {
    // More than two sockets can hold.
    let sim = Sim::start(Script::sse("data: x\n\n".repeat(8 << 20))).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client.ask(WEB, "t", "").await;
    client.head().await;
    assert_eq!(sim.chats()[0].outcome, Outcome::Running);
    assert_eq!(sim.open_streams(), 1);
    drop(client);
    assert!(sim.until(|sim| sim.chats()[0].outcome == Outcome::PeerClosed, LONG).await);
}
