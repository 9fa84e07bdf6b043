//! The reading side of a connection: requests in, and the moment the peer goes.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;

use crate::{
    outbox,
    request::{BodyLength, Head, Request},
};

const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_BODY_BYTES: usize = 64 << 20;

/// Bytes of a connection that were read and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    buffer: BytesMut,
}

impl Inbox {
    /// The next request; none when the peer went, or sent what is no request or too long a one.
    pub(crate) async fn request(&mut self, stream: &TcpStream) -> Option<Request> {
        let head = Head::parse(&self.until(stream, b"\r\n\r\n", MAX_HEAD_BYTES).await?)?;
        if head.expects_continue {
            outbox::write_all(stream, b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        let body = match head.body {
            BodyLength::Known(length) if length > MAX_BODY_BYTES => return None,
            BodyLength::Known(length) => self.exactly(stream, length).await?.to_vec(),
            BodyLength::Chunked => self.chunks(stream).await?,
        };
        Some(head.with_body(body))
    }

    /// Waits until the peer closes or resets. What it sends meanwhile is kept for the next
    /// request; once that is more than a head may be, nobody looks any further.
    pub(crate) async fn peer_gone(&mut self, stream: &TcpStream) {
        while self.buffer.len() <= MAX_HEAD_BYTES {
            if self.read(stream).await.is_none() {
                return;
            }
        }
        std::future::pending().await
    }

    async fn chunks(&mut self, stream: &TcpStream) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(stream, b"\r\n", MAX_HEAD_BYTES).await?;
            let size = std::str::from_utf8(&line).ok()?.split([';', '\r']).next()?.trim_end();
            let size = usize::from_str_radix(size, 16).ok()?;
            if size == 0 {
                break;
            }
            if size > MAX_BODY_BYTES - body.len() {
                return None;
            }
            let chunk = self.exactly(stream, size + 2).await?;
            body.extend_from_slice(chunk.strip_suffix(b"\r\n")?);
        }
        while self.until(stream, b"\r\n", MAX_HEAD_BYTES).await? != b"\r\n"[..] {}
        Some(body)
    }

    /// Bytes up to the mark, which is among them.
    async fn until(&mut self, stream: &TcpStream, mark: &[u8], most: usize) -> Option<BytesMut> {
        let mut seen = 0;
        loop {
            let found = self.buffer[seen..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Some(self.buffer.split_to(seen + at + mark.len()));
            }
            if self.buffer.len() > most {
                return None;
            }
            seen = self.buffer.len().saturating_sub(mark.len() - 1);
            self.read(stream).await?;
        }
    }

    async fn exactly(&mut self, stream: &TcpStream, length: usize) -> Option<BytesMut> {
        while self.buffer.remaining() < length {
            self.read(stream).await?;
        }
        Some(self.buffer.split_to(length))
    }

    /// Reads some more; none at the end of the connection. Safe to be dropped at any time.
    async fn read(&mut self, stream: &TcpStream) -> Option<()> {
        loop {
            stream.readable().await.ok()?;
            self.buffer.reserve(16 << 10);
            match stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return None,
                Ok(_) => return Some(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
}
