//! A small HTTP/1.1 client on a bare socket: it sees the bytes, and hangs up when it likes.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::said::Said;
use crate::shown::Shown;
use crate::texts::learn_request;

/// An answer whose head has arrived.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    socket: TcpStream,
    /// Read from the socket and not yet handed out.
    raw: Vec<u8>,
    /// Decoded body not yet handed out.
    body: Vec<u8>,
    framing: Framing,
    /// The body has come to its proper end.
    whole: bool,
    largest_chunk: usize,
    said: Option<Said>,
    shown: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Sends a request on a connection of its own and waits for the head of the answer.
pub async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    learn_request(path, headers, body);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("content-length: {}\r\n", body.len());
    }
    let mut socket = TcpStream::connect(to).await.expect("a connection");
    socket.write_all(format!("{head}\r\n").as_bytes()).await.expect("the head is sent");
    // A server that refuses early may not take the body.
    let _ = socket.write_all(body).await;
    Reply::read(socket, method, path, Said::to(method, path, body)).await
}

impl Reply {
    /// Waits for the head of the answer to a request that was posted on this socket.
    pub async fn of(socket: TcpStream) -> Self {
        Self::read(socket, "POST", "", None).await
    }

    async fn read(mut socket: TcpStream, method: &str, path: &str, said: Option<Said>) -> Self {
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = find(&raw, b"\r\n\r\n") {
                break end;
            }
            let read = socket.read_buf(&mut raw).await.expect("a head");
            assert_ne!(read, 0, "the connection closed before an answer: {raw:?}");
        };
        let head = String::from_utf8(raw[..end].to_vec()).expect("a head of text");
        raw.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("a status line");
        let status: u16 = status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("one");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let framing = match (header("transfer-encoding"), header("content-length")) {
            _ if method == "HEAD" || matches!(status, 204 | 304) => Framing::Length(0),
            (Some("chunked"), _) => Framing::Chunked,
            (_, Some(length)) => Framing::Length(length.parse().expect("a length")),
            _ => Framing::UntilClose,
        };
        Self {
            status,
            headers,
            socket,
            raw,
            body: Vec::new(),
            framing,
            whole: false,
            largest_chunk: 0,
            said,
            shown: Shown::begin(path, status, &head),
        }
    }

    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All headers, their names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The data of the next event, or None after the last. Comments are passed over.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.body, b"\n\n") {
                let event: Vec<u8> = self.body.drain(..end + 2).collect();
                let event = String::from_utf8(event).expect("text");
                match event.trim_end().lines().find_map(|line| line.strip_prefix("data: ")) {
                    Some(data) => return Some(data.to_owned()),
                    None => continue,
                }
            }
            if !self.more().await {
                assert!(self.body.is_empty(), "half an event: {:?}", self.body);
                return None;
            }
        }
    }

    /// All of the body.
    ///
    /// # Panics
    /// If it breaks off.
    pub async fn text(mut self) -> String {
        while self.more().await {}
        assert!(self.whole, "the body broke off");
        String::from_utf8(std::mem::take(&mut self.body)).expect("text")
    }

    /// All of the body, as JSON.
    pub async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// All events that are left.
    pub async fn events(mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// Reads to the end; answers the size of the largest chunk of the transfer coding, in bytes.
    pub async fn largest_chunk(mut self) -> usize {
        while self.more().await {}
        self.largest_chunk
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> bool {
        if self.decode() {
            return true;
        }
        while !self.whole {
            let read = self.socket.read_buf(&mut self.raw).await.unwrap_or(0);
            if read == 0 {
                self.whole = self.framing == Framing::UntilClose;
                return false;
            }
            if self.decode() {
                return true;
            }
        }
        false
    }

    /// Moves what is complete from `raw` to `body`; true if there was anything.
    fn decode(&mut self) -> bool {
        let before = self.body.len();
        match self.framing {
            Framing::UntilClose => self.body.append(&mut self.raw),
            Framing::Length(left) => {
                let take = left.min(self.raw.len());
                self.body.extend(self.raw.drain(..take));
                self.framing = Framing::Length(left - take);
                self.whole = left == take;
            }
            Framing::Chunked => {
                while let Some(line) = find(&self.raw, b"\r\n") {
                    let size = std::str::from_utf8(&self.raw[..line]).expect("a chunk size");
                    let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
                    self.largest_chunk = self.largest_chunk.max(size);
                    if self.raw.len() < line + 2 + size + 2 {
                        break;
                    }
                    self.body.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
                    self.raw.drain(..line + 2 + size + 2);
                    if size == 0 {
                        self.whole = true;
                        break;
                    }
                }
            }
        }
        if let Some(said) = &mut self.said {
            said.more(&self.body[before..]);
        }
        self.shown.more(&self.body[before..]);
        self.body.len() > before
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(said) = &self.said {
            said.write(self.status, &self.headers, self.whole);
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
