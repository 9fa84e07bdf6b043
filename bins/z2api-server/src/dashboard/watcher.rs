//! One who watches: the body that makes a snapshot each second, as the page reads. There is no task
//! behind it, so nobody watching costs nothing, and one who leaves leaves nothing behind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};
use z2api_observability::RequestRecord;

use super::snapshot::Snapshot;
use crate::app::App;
use crate::body::Frames;
use crate::error::ApiError;
use crate::live::Live;

const EVERY: Duration = Duration::from_secs(1);

/// Dropping it gives its place back and closes its record: leaving is how watching ends.
pub(super) struct Watcher {
    app: Arc<App>,
    /// What let it in. It must go when that holds no more.
    admin_key: Option<[u8; 32]>,
    clock: Interval,
    drain: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The last request it was told of. None before it was told anything.
    seen: Option<u64>,
    over: bool,
    record: Option<Box<RequestRecord>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    pub(super) fn new(
        app: &Arc<App>,
        live: &Live,
        place: OwnedSemaphorePermit,
        mut record: Box<RequestRecord>,
    ) -> Self {
        record.status(200);
        let mut clock = interval(EVERY);
        // To a page that reads slowly the past is of no use.
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = app.draining.subscribe();
        Self {
            app: app.clone(),
            admin_key: live.admin_key,
            clock,
            drain: Box::pin(async move {
                // It can fail only when the gateway is gone, which is a drain too.
                let _ = draining.wait_for(|draining| *draining).await;
            }),
            seen: None,
            over: false,
            record: Some(record),
            _place: place,
        }
    }

    /// Whether the settings as they are now still let it watch.
    fn may_stay(&self, live: &Live) -> bool {
        live.dashboard && live.admin_key == self.admin_key
    }

    fn next(&mut self) -> Option<Bytes> {
        let live = self.app.live();
        if !self.may_stay(&live) {
            return None;
        }
        let snapshot = Snapshot::take(&self.app, &live, self.seen);
        self.seen = snapshot.last_number().or(self.seen).or(Some(0));
        let bytes = Bytes::from(snapshot.event());
        if let Some(record) = &mut self.record {
            record.first_byte();
            record.bytes(bytes.len() as u64);
        }
        Some(bytes)
    }
}

impl Frames for Watcher {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over || self.drain.as_mut().poll(cx).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        ready!(self.clock.poll_tick(cx));
        let bytes = self.next();
        self.over = bytes.is_none();
        Poll::Ready(bytes)
    }

    /// The page asks again by itself.
    fn broke(&mut self) {
        self.over = true;
        if let Some(record) = &mut self.record {
            record.fail(ApiError::panicked().failure());
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.whole();
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}
