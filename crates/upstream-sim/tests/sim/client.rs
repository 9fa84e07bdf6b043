//! A client that shows what really came over the wire.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Long enough for any machine; no test waits that long for anything that happens.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const WEB: &str = "/api/chat/completions";
pub(crate) const API: &str = "/api/paas/v4/chat/completions";

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

/// One response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body, chunk by chunk; one piece when it is not chunked.
    pub(crate) chunks: Vec<Vec<u8>>,
}

impl Response {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("a body of text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes()).expect("a body of JSON")
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the simulator listens");
        Self { stream, buffer: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the simulator reads");
    }

    /// Asks for an answer and reads it whole.
    pub(crate) async fn chat(&mut self, path: &str, token: &str, body: &str) -> Response {
        self.ask(path, token, body).await;
        self.response().await
    }

    /// Asks for an answer.
    pub(crate) async fn ask(&mut self, path: &str, token: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n")).await;
        self.response().await
    }

    /// Reads a response whose end can be told without closing the connection.
    pub(crate) async fn response(&mut self) -> Response {
        let (status, head) = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut chunks = Vec::new();
        if let Some(length) = length {
            chunks.push(self.exactly(length.parse().expect("a length")).await);
        } else {
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            while let Some(chunk) = self.chunk().await {
                chunks.push(chunk);
            }
        }
        Response { status, head, chunks }
    }

    pub(crate) async fn head(&mut self) -> (u16, String) {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).expect("a head of text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), head)
    }

    /// The next chunk; none for the closing one.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = String::from_utf8(self.until(b"\r\n").await).expect("a chunk size");
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk size");
        let mut chunk = self.exactly(size + 2).await;
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Everything up to the end of the connection, and how that came.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut rest = Vec::from(self.buffer.split());
        let end = self.stream.read_to_end(&mut rest).await.map(|_| ());
        (rest, end)
    }

    async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|w| w == mark) {
                return self.buffer.split_to(at + mark.len()).into();
            }
            self.read().await;
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.read().await;
        }
        self.buffer.split_to(length).into()
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.expect("the connection holds");
        assert_ne!(read, 0, "the connection ended after {:?}", self.buffer);
    }
}
