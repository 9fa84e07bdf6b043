//! The body of an answer, and the connection it comes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::link::Link;
use super::pool::Pool;
use crate::cause;
use crate::transport::TransportError;

/// Reads no faster than it is polled. At its end the connection goes back to the pool; dropping it
/// before closes the connection.
pub(super) struct Answer {
    body: Incoming,
    /// None at the end.
    link: Option<Box<Link>>,
    pool: Arc<Pool>,
}

impl Answer {
    pub(super) fn new(body: Incoming, link: Box<Link>, pool: Arc<Pool>) -> Self {
        let mut answer = Self { body, link: Some(link), pool };
        answer.settle();
        answer
    }

    /// Gives the connection back, if nothing more will come on it.
    fn settle(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(link) = self.link.take() {
            self.pool.put(link);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = self.get_mut();
        let Some(link) = &mut this.link else { return Poll::Ready(None) };
        let frame = ready!(link.poll(cx, |cx| Pin::new(&mut this.body).poll_frame(cx)));
        match &frame {
            Some(Ok(_frame)) => this.settle(),
            Some(Err(_broken)) => this.link = None,
            None => this.end(),
        }
        let broken = |error: hyper::Error| TransportError::disconnected(cause::words(&error));
        Poll::Ready(frame.map(|frame| frame.map_err(broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
