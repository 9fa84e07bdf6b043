//! The body of an answer, and the connection it comes on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::framing::Framing;
use super::head::Head;
use super::link::{Link, disconnected};
use super::pool::Pool;
use crate::transport::TransportError;

/// Reads no faster than it is polled. At its end the connection goes back to the pool; dropping it
/// before closes the connection.
pub(super) struct Answer {
    /// Data that has come and was not handed over.
    first: Bytes,
    framing: Framing,
    /// None at the end.
    link: Option<Link>,
    /// For how long the connection may be idle and be used again; None if not at all.
    keeps: Option<Duration>,
    /// What went wrong after the last data.
    problem: Option<&'static str>,
    pool: Arc<Pool>,
}

/// What one read gave.
struct Took {
    data: Vec<u8>,
    /// Whether all of it belongs to the body.
    all: Result<bool, &'static str>,
}

impl Answer {
    pub(super) fn new(head: Head, link: Link, pool: Arc<Pool>) -> Response<Self> {
        let Head { response, mut framing, keeps, rest } = head;
        let took = match rest.is_empty() {
            true => Took { data: rest, all: Ok(true) },
            false => take(&mut framing, &rest),
        };
        let (first, link) = (Bytes::new(), Some(link));
        let mut answer = Self { first, framing, link, keeps, problem: None, pool };
        answer.first = answer.settle(took);
        response.map(|()| answer)
    }

    /// Takes note of a read. At the end of the body, gives the connection back.
    fn settle(&mut self, took: Took) -> Bytes {
        match took.all {
            Ok(all) if self.framing.is_over() => {
                // Whatever follows was not asked for.
                if let (Some(link), Some(idle), true) = (self.link.take(), self.keeps, all) {
                    self.pool.put(link, idle);
                }
            }
            Ok(_) => {}
            Err(problem) => self.fail(problem),
        }
        took.data.into()
    }

    fn fail(&mut self, problem: &'static str) {
        (self.link, self.problem) = (None, Some(problem));
    }

    /// Makes reads until one has data. None at the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            if !self.first.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
            }
            if let Some(problem) = self.problem.take() {
                return Poll::Ready(Some(Err(TransportError::disconnected(problem))));
            }
            let Self { framing, link: Some(link), .. } = self else { return Poll::Ready(None) };
            if let Err(error) = link.push(cx) {
                return self.broke(&error);
            }
            match ready!(link.poll_read(cx, |bytes| take(framing, bytes))) {
                Ok(took) => self.first = self.settle(took),
                Err(error) => return self.broke(&error),
            }
        }
    }

    fn broke(&mut self, error: &io::Error) -> Poll<Option<Result<Bytes, TransportError>>> {
        self.link = None;
        Poll::Ready(Some(Err(disconnected(error))))
    }
}

/// No bytes are the end of the connection.
fn take(framing: &mut Framing, bytes: &[u8]) -> Took {
    if bytes.is_empty() {
        return Took { data: Vec::new(), all: framing.close().map(|()| false) };
    }
    let mut data = Vec::with_capacity(bytes.len());
    let taken = framing.take(bytes, &mut data);
    Took { data, all: taken.map(|taken| taken == bytes.len()) }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        self.get_mut().poll_data(cx).map(|data| data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none() && self.first.is_empty() && self.problem.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left + self.first.len() as u64),
            Framing::Chunks(_) | Framing::Close => SizeHint::default(),
        }
    }
}
