//! How its client ends it: by going, by standing still, or by sending too much.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use z2api_tests::web::{endless, fine, stuck};
use z2api_tests::{Gateway, KEY, PATIENCE, Raw, chat_request};

use crate::{APIS, Ending, HUNG_UP, IT, check, question, web};

fn by_client(status: u16, kind: &'static str) -> Ending {
    (status, Some((kind, "client")))
}

/// A request by hand: its head with these lines, and so much of a body.
async fn begin(gateway: &Gateway, path: &str, lines: &str, body: &str) -> Raw {
    let mut client = Raw::connect(gateway.address).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\nx-request-id: {IT}\r\n{lines}\r\n"
    );
    client.send(format!("{head}{body}")).await;
    client
}

async fn ask(gateway: &Gateway, path: &str, stream: bool) -> Raw {
    let body = question(path, stream).to_string();
    begin(gateway, path, &format!("content-length: {}\r\n", body.len()), &body).await
}

/// It goes: with a reset, as a process that dies, or as one that closes.
fn goes(client: Raw, resets: bool) {
    if resets {
        client.reset();
    }
}

async fn queued(gateway: &Gateway, count: usize) {
    let waiting = async { while gateway.get("/status").await.json().await["queued"] != count {} };
    timeout(PATIENCE, waiting).await.expect("as many in the queue");
}

#[tokio::test]
async fn it_goes_before_the_answer_or_within() {
    for path in APIS {
        for (what, plan) in [("before", fine().head_after(PATIENCE)), ("within", stuck())] {
            for (stream, resets) in [(true, true), (true, false), (false, true), (false, false)] {
                let gateway = web(plan.clone(), &[]).await;
                let client = ask(&gateway, path, stream).await;
                gateway.until(|gateway| gateway.sim.open_streams() == 1).await;
                goes(client, resets);
                check(&gateway, &format!("{what}: {path} {stream} {resets}"), HUNG_UP).await;
            }
        }
    }
}

#[tokio::test]
async fn it_goes_while_it_is_in_the_queue() {
    for path in APIS {
        let gateway = web(stuck(), &[("MAX_CONCURRENT_CONNECTIONS", "1")]).await;
        let held = gateway.chat("GLM-4.5", json!({"stream": true})).await;
        let client = ask(&gateway, path, true).await;
        queued(&gateway, 1).await;
        goes(client, false);
        queued(&gateway, 0).await;
        drop(held);
        check(&gateway, path, HUNG_UP).await;
    }
}

#[tokio::test]
async fn it_goes_while_it_sends_its_body() {
    for path in APIS.into_iter().chain(["/v1/messages/count_tokens"]) {
        for (lines, body) in
            [("content-length: 100\r\n", "{\"m"), ("transfer-encoding: chunked\r\n", "64\r\n{\"m")]
        {
            for resets in [true, false] {
                let gateway = web(fine(), &[]).await;
                let client = begin(&gateway, path, lines, body).await;
                gateway.until(|gateway| gateway.connections() == 1).await;
                goes(client, resets);
                check(&gateway, &format!("{path} {lines} {resets}"), HUNG_UP).await;
            }
        }
    }
}

#[tokio::test]
async fn it_sends_too_much_or_too_slowly() {
    for path in APIS.into_iter().chain(["/v1/messages/count_tokens"]) {
        let gateway = web(fine(), &[("MAX_BODY_MB", "1")]).await;
        let mut client = begin(&gateway, path, "content-length: 2000000\r\n", "{").await;
        client.to_the_end().await;
        drop(client);
        check(&gateway, path, by_client(413, "request_too_large")).await;

        let gateway = web(fine(), &[("MAX_BODY_MB", "1")]).await;
        let chunk = format!("200000\r\n{}\r\n", " ".repeat(0x20_0000));
        let mut client = begin(&gateway, path, "transfer-encoding: chunked\r\n", &chunk).await;
        client.to_the_end().await;
        drop(client);
        check(&gateway, path, by_client(413, "request_too_large")).await;

        let gateway = web(fine(), &[("CLIENT_BODY_TIMEOUT", "100")]).await;
        let mut client = begin(&gateway, path, "content-length: 100\r\n", "{").await;
        client.to_the_end().await;
        drop(client);
        check(&gateway, path, by_client(408, "request_timeout")).await;

        let gateway = web(fine(), &[]).await;
        let broken = "transfer-encoding: chunked\r\n";
        let mut client = begin(&gateway, path, broken, "no size\r\n").await;
        client.to_the_end().await;
        drop(client);
        check(&gateway, path, by_client(400, "incomplete_body")).await;
    }
}

#[tokio::test]
async fn it_does_not_take_its_answer() {
    let gateway = web(endless(), &[("CLIENT_STALL_TIMEOUT", "500")]).await;
    let _never = gateway.unread_stream_as(&format!("x-request-id: {IT}\r\n")).await;
    check(&gateway, "unread", by_client(499, "client_stalled")).await;
}

/// One of several on a connection, which goes on.
#[tokio::test]
async fn it_resets_its_stream_of_http2() {
    for path in APIS {
        for (plan, stream) in
            [(stuck(), true), (stuck(), false), (fine().head_after(PATIENCE), true)]
        {
            let gateway = web(plan, &[("ENABLE_HTTP2", "true")]).await;
            let socket = TcpStream::connect(gateway.address).await.expect("a connection");
            let (mut client, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2");
            let connection = tokio::spawn(connection);
            let body = Full::new(Bytes::from(question(path, stream).to_string()));
            let asked = client.send_request(request(path, body));
            let asked = tokio::spawn(asked);
            gateway.until(|gateway| gateway.sim.open_streams() == 1).await;
            asked.abort();
            gateway.until(|gateway| gateway.in_flight() == 0).await;
            assert!(!connection.is_finished());
            drop(client);
            check(&gateway, path, HUNG_UP).await;
        }
    }
}

#[tokio::test]
async fn it_resets_its_stream_of_http2_while_it_sends_its_body() {
    let gateway = web(fine(), &[("ENABLE_HTTP2", "true")]).await;
    let socket = TcpStream::connect(gateway.address).await.expect("a connection");
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request = request(APIS[0], StreamBody::new(Half::default()));
    request.headers_mut().insert("content-length", "100".parse().unwrap());
    let asked = tokio::spawn(client.send_request(request));
    gateway.until(|gateway| gateway.connections() == 1).await;
    asked.abort();
    drop(client);
    check(&gateway, "half a body", HUNG_UP).await;
}

fn request<B>(path: &str, body: B) -> Request<B> {
    Request::post(format!("http://localhost{path}"))
        .version(Version::HTTP_2)
        .header("authorization", format!("Bearer {KEY}"))
        .header("x-request-id", IT)
        .body(body)
        .expect("a request")
}

/// The begin of a body, and then nothing.
#[derive(Default)]
struct Half {
    begun: bool,
}

impl futures::Stream for Half {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.begun, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{\"m"))))),
            true => Poll::Pending,
        }
    }
}

/// Its answer is all there, and waits for it.
#[tokio::test]
async fn it_goes_with_the_end_of_its_answer_before_it() {
    let text = "z".repeat(6 * 1024 * 1024);
    let piece = json!({"type": "chat:completion",
        "data": {"delta_content": text, "phase": "answer"}});
    let plan = z2api_upstream_sim::Script::events([&piece.to_string(), z2api_tests::web::END]);
    for stream in [true, false] {
        let gateway = web(plan.clone(), &[]).await;
        let mut client = Raw::with_small_window(gateway.address, 4096).await;
        client.send(chat_request(stream, &format!("x-request-id: {IT}\r\n"))).await;
        gateway.until(|gateway| gateway.sim.chat_requests() == 1).await;
        gateway.until(|gateway| gateway.sim.open_streams() == 0).await;
        goes(client, false);
        check(&gateway, "unread", HUNG_UP).await;
    }
}
