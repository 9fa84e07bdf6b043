//! A socket of which some bytes have been read already.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Gives those bytes first.
#[derive(Debug)]
pub(crate) struct Ahead<I> {
    io: I,
    bytes: Bytes,
    flushed: Flushed,
}

/// Whether all that was written to a socket has been flushed. hyper flushes one only when it has
/// nothing left to write.
#[derive(Debug, Clone)]
pub(crate) struct Flushed(Arc<AtomicBool>);

impl Flushed {
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// What a peer begins with that speaks HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<I> Ahead<I> {
    /// Nothing has been read.
    pub(crate) fn new(io: I) -> Self {
        let flushed = Flushed(Arc::new(AtomicBool::new(true)));
        Self { io, bytes: Bytes::new(), flushed }
    }

    /// Tells so as long as somebody asks.
    pub(crate) fn flushed(&self) -> Flushed {
        self.flushed.clone()
    }

    /// Whether all that was written has been flushed.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed.is_so()
    }

    /// The socket alone.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> I {
        self.io
    }

    /// Whether there are bytes that were read and not asked for again.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Gives back what was read from it too early.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            // Copied: it must not keep the large buffer it was read into.
            self.bytes = [bytes, &self.bytes].concat().into();
        }
    }
}

impl<I: AsyncRead + Unpin> Ahead<I> {
    /// Whether the peer begins with HTTP/2. What is read for that is read again later.
    pub(crate) async fn begins_http2(&mut self) -> io::Result<bool> {
        let mut begin = Vec::with_capacity(PREFACE.len());
        while begin.len() < PREFACE.len() && PREFACE.starts_with(&begin) {
            let missing = PREFACE.len() - begin.len();
            if (&mut *self).take(missing as u64).read_buf(&mut begin).await? == 0 {
                break;
            }
        }
        let is_http2 = begin == PREFACE;
        self.put_back(&begin);
        Ok(is_http2)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Ahead<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..length]);
        self.bytes.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Ahead<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flushed.0.store(false, Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flushed.0.store(false, Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.flushed.0.store(true, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_flushed_only_once_that_was_asked_for() {
        let (io, _peer) = duplex(3);
        let mut io = Ahead::new(io);
        let flushed = io.flushed();
        assert!(flushed.is_so());
        assert_eq!(io.write(b"four").await.unwrap(), 3);
        assert!(!flushed.is_so());
        io.flush().await.unwrap();
        assert!(flushed.is_so());
        // Nor if nothing of it is taken.
        assert!(io.write(b"r").now_or_never().is_none());
        assert!(!flushed.is_so());
    }
}
