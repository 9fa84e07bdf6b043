//! Keeps back what hyper answers by itself: to a request that it does not understand, an answer
//! without a body, an id and all else that answers have here. The connection writes one of its own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;

/// Lets through what answers a request that was understood. hyper writes nothing between two
/// requests but what it makes up.
#[derive(Debug)]
pub(crate) struct Unasked<I> {
    io: I,
    watch: Arc<Watch>,
    /// Something of an answer was written since all was flushed.
    answers: bool,
    kept_back: bool,
}

impl<I> Unasked<I> {
    pub(crate) fn new(io: I, watch: Arc<Watch>) -> Self {
        Self { io, watch, answers: false, kept_back: false }
    }

    /// What is below, and whether something was kept back.
    pub(crate) fn into_parts(self) -> (I, bool) {
        (self.io, self.kept_back)
    }

    fn keeps_back(&mut self) -> bool {
        self.answers |= self.watch.is_asked();
        self.kept_back |= !self.answers;
        self.kept_back
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Unasked<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Unasked<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.answers = false;
        Poll::Ready(Ok(()))
    }

    /// After what was kept back comes an answer still.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept_back {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
