//! The answer to what was no request: it closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use z2api_observability::RequestId;

use super::refusals::Refused;
use super::turn_away::last_words;
use super::watch::{Watch, Why};
use crate::app::App;
use crate::error::ApiError;

/// Writes it, as far as the peer takes it.
pub(crate) struct Refusing<I> {
    io: I,
    answer: Vec<u8>,
    written: usize,
    why: Why,
    refused: Box<Refused>,
}

impl<I: AsyncWrite + Unpin> Refusing<I> {
    pub(crate) fn new(
        io: I,
        app: &App,
        watch: &Watch,
        why: Why,
        mut refused: Box<Refused>,
        error: &ApiError,
    ) -> Self {
        let id = refused.id.insert(RequestId::random());
        let answer = last_words(app, error, id, watch.head_took());
        watch.refuses();
        Self { io, answer, written: 0, why, refused }
    }

    /// Ready with what it was. That it could not be said changes nothing in that.
    pub(crate) fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<(Why, Box<Refused>)> {
        let _ = ready!(self.poll_sent(cx));
        Poll::Ready((self.why, std::mem::take(&mut self.refused)))
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.answer.len() {
            let rest = &self.answer[self.written..];
            self.written += match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => bytes,
            };
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
