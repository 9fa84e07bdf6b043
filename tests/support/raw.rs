//! A peer that says exactly what a test wants, well-behaved or not.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::gateway::{KEY, PATIENCE};

/// A bare connection.
#[derive(Debug)]
pub struct Raw {
    /// The socket itself.
    pub socket: TcpStream,
}

/// One answer out of what a peer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body, as it came.
    pub body: String,
}

impl Answer {
    /// Whether the head has this line.
    pub fn has(&self, line: &str) -> bool {
        self.head.lines().any(|known| known == line)
    }
}

impl Raw {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(to).await.expect("a connection") }
    }

    /// Connects, and has room for so many unread bytes only.
    pub async fn with_small_window(to: SocketAddr, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(bytes).expect("a small buffer");
        Self { socket: socket.connect(to).await.expect("a connection") }
    }

    /// Sends bytes. That the other side has closed is no error: it may refuse early.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Reads until the other side closes.
    pub async fn to_the_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut all)).await;
        let _ = read.expect("the other side closes");
        all
    }

    /// Reads until `end` has come; what came by then.
    pub async fn until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let reads = async {
            while !String::from_utf8_lossy(&all).contains(end) {
                let read = self.socket.read_buf(&mut all).await.expect("more");
                assert_ne!(read, 0, "closed before {end:?}: {}", String::from_utf8_lossy(&all));
            }
        };
        timeout(PATIENCE, reads).await.unwrap_or_else(|_| panic!("never came: {end:?}"));
        String::from_utf8(all).expect("text")
    }

    /// Reads one answer, which tells its length, and no byte more.
    pub async fn answer(&mut self) -> Answer {
        let mut got = Vec::new();
        let reads = async {
            while !is_whole(&got) {
                got.push(self.socket.read_u8().await.expect("more of an answer"));
            }
        };
        timeout(PATIENCE, reads).await.expect("an answer in time");
        answers(&got).remove(0)
    }

    /// Reads for a while at most; what came, and whether the other side closed.
    pub async fn within(&mut self, time: Duration) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        let reads = async { while let Ok(1..) = self.socket.read_buf(&mut all).await {} };
        let closed = timeout(time, reads).await.is_ok();
        (all, closed)
    }

    /// Whether the other side closes without another byte.
    pub async fn is_let_go(&mut self) -> bool {
        self.to_the_end().await.is_empty()
    }

    /// Resets the connection.
    pub fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

/// Whether these bytes are an answer up to the end of its body, by the length it tells.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).expect("a length")
}

/// All answers in what a peer got; interim ones too.
///
/// # Panics
/// If it is not a row of well-formed answers.
pub fn answers(bytes: &[u8]) -> Vec<Answer> {
    let mut rest = std::str::from_utf8(bytes).expect("text");
    let mut answers = Vec::new();
    while !rest.is_empty() {
        assert!(rest.starts_with("HTTP/1."), "not an answer: {rest:?}");
        let (head, after) = rest.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("one");
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_chunked = head.lines().any(|line| line == "transfer-encoding: chunked");
        let length = match length {
            _ if status < 200 || status == 204 => 0,
            Some(length) => length.parse().expect("a length"),
            None if is_chunked => {
                let end = after.find("0\r\n\r\n").expect("the end of the chunks");
                end + "0\r\n\r\n".len()
            }
            None => after.len(),
        };
        let (body, next) = after.split_at(length.min(after.len()));
        answers.push(Answer { status, head, body: body.to_owned() });
        rest = next;
    }
    answers
}

/// A good chat request with further lines in its head.
pub fn chat_request(stream: bool, lines: &str) -> String {
    let body = format!(
        r#"{{"model":"GLM-4.5","stream":{stream},"messages":[{{"role":"user","content":"x"}}]}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.example\r\n\
         authorization: Bearer {KEY}\r\n{lines}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
