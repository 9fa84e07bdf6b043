//! An answer that shares its connection with others, and can be let go of from outside.
//!
//! In HTTP/2 a client grants bytes to each stream. A stream that is granted nothing is not polled
//! any more, while its connection lives on with others. So its body lies where the watch can take
//! it: the slot, the upstream and the memory come back, and the stream is reset when the client
//! wants it again.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::watch::Why;
use crate::body::{Body, NoRest};

/// The upstream is what is waited for, not the client.
const NOT_WAITING: u64 = u64::MAX;

/// The body of one of many answers.
#[derive(Debug)]
pub(crate) struct Shared {
    body: Mutex<Option<Body>>,
    /// Since when the client has not come for more, in the watch's milliseconds.
    waiting_since: AtomicU64,
}

impl Shared {
    pub(crate) fn new(body: Body, now: u64) -> Arc<Self> {
        let body = Mutex::new(Some(body));
        Arc::new(Self { body, waiting_since: AtomicU64::new(now) })
    }

    /// As [`http_body::Body::poll_frame`]; `now` is asked for when a frame is handed over.
    pub(crate) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
        now: impl FnOnce() -> u64,
    ) -> Poll<Option<Result<Frame<Bytes>, NoRest>>> {
        self.waiting_since.store(NOT_WAITING, Relaxed);
        let mut held = self.lock();
        let Some(body) = held.as_mut() else { return Poll::Ready(Some(Err(NoRest::LetGo))) };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        if polled.is_ready() {
            self.waiting_since.store(now(), Relaxed);
            // Nothing tells when a stream's last bytes leave its connection.
            if body.is_end_stream() {
                body.sent();
            }
        }
        polled
    }

    /// What has been let go of is not at its end: that would look like a whole answer.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.lock().as_ref().is_some_and(Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }

    /// Since when the client has not come for more; None while the upstream is waited for, and
    /// when there is nothing left to let go of.
    pub(crate) fn waiting_since(&self) -> Option<u64> {
        let since = self.waiting_since.load(Relaxed);
        (since != NOT_WAITING && self.lock().is_some()).then_some(since)
    }

    /// Drops the body, and with it all that it holds.
    pub(crate) fn let_go(&self, why: Why) {
        let body = self.lock().take();
        if let Some(mut body) = body {
            body.dropped(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
