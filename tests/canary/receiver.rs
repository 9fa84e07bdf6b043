//! A server that keeps all it is sent and says always the same: a collector, or a proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Stops when it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let for_all = heard.clone();
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let request = answer_one(socket, &answer).await;
                for_all.lock().unwrap().extend(request);
            }
        });
        Self { address, heard, serving }
    }

    /// All that it was sent.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Reads one request, and answers it.
async fn answer_one(mut socket: TcpStream, answer: &str) -> Vec<u8> {
    let mut request = Vec::new();
    while !is_whole(&request) && socket.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    // Who has gone reads no answer.
    let _ = socket.write_all(answer.as_bytes()).await;
    request
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    request.len() >= end + 4 + length
}
