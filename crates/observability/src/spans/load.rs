//! How many spans wait to be sent, and what became of the others. A loss is counted, and told in the
//! log: the first at once, further ones once a minute.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many spans may wait.
pub(super) const MAX_WAITING: usize = 2048;
/// How often losses are told.
const TELL_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Load {
    waiting: AtomicUsize,
    /// Not waiting any more, and not yet sent.
    under_way: AtomicUsize,
    sent: AtomicU64,
    dropped: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// How many lost spans have been told of.
    dropped: u64,
    /// What was wrong last.
    trouble: Option<String>,
}

impl Load {
    /// Whether there is room for the spans of a request: for all of them, or none is taken.
    pub(super) fn enter(&self, count: usize) -> bool {
        let room = |waiting: usize| Some(waiting + count).filter(|all| *all <= MAX_WAITING);
        let entered = self.waiting.fetch_update(Relaxed, Relaxed, room).is_ok();
        if !entered {
            self.dropped.fetch_add(count as u64, Relaxed);
        }
        entered
    }

    /// So many do not wait any more: they are being sent.
    pub(super) fn taken(&self, count: usize) {
        take(&self.waiting, count);
        self.under_way.fetch_add(count, Relaxed);
    }

    /// A batch has reached the collector, which rejected some of it.
    pub(super) fn sent(&self, count: usize, rejected: u64) {
        take(&self.under_way, count);
        let count = count as u64;
        let rejected = rejected.min(count);
        self.sent.fetch_add(count - rejected, Relaxed);
        self.dropped.fetch_add(rejected, Relaxed);
        if rejected > 0 {
            self.troubled("it rejects some");
        }
        self.tell(Instant::now());
    }

    /// A batch has not reached it, and is given up.
    pub(super) fn lost(&self, count: usize, why: &str) {
        take(&self.under_way, count);
        self.dropped.fetch_add(count as u64, Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.trouble.get_or_insert_with(|| why.to_owned());
        drop(told);
        self.tell(Instant::now());
    }

    /// What is wrong with the collector, until it is told.
    pub(super) fn troubled(&self, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.trouble = Some(why.to_owned());
    }

    /// What has not been sent by now will not be.
    pub(super) fn end(&self) {
        let left = self.waiting.swap(0, Relaxed) + self.under_way.swap(0, Relaxed);
        self.dropped.fetch_add(left as u64, Relaxed);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).last = None;
        self.tell(Instant::now());
    }

    /// Spans that were sent, and spans that were dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.dropped.load(Relaxed))
    }

    fn tell(&self, now: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.dropped.load(Relaxed) - told.dropped;
        let recent = told.last.is_some_and(|last| now.duration_since(last) < TELL_EVERY);
        if count == 0 || recent {
            return;
        }
        told.last = Some(now);
        told.dropped += count;
        let why = told.trouble.take().unwrap_or_else(|| "it is too slow".to_owned());
        tracing::warn!(
            r#type = "spans_dropped",
            count,
            collector = why,
            "spans of traces were dropped"
        );
    }
}

/// After the end, what is still under way has been given up already.
fn take(from: &AtomicUsize, count: usize) {
    let less = |all: usize| Some(all.saturating_sub(count));
    // It always gives a number.
    let _ = from.fetch_update(Relaxed, Relaxed, less);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_finds_no_room_is_counted_and_the_others_are_not() {
        let load = Load::default();
        while load.enter(3) {}
        let all_in = MAX_WAITING as u64 / 3;
        assert_eq!(load.counts(), (0, 3));
        load.taken(512);
        assert!(load.enter(512));
        load.sent(512, 2);
        assert_eq!(load.counts(), (510, 5));
        load.end();
        assert_eq!(load.counts(), (510, 5 + all_in * 3));
    }

    #[test]
    fn the_first_loss_is_told_at_once_and_the_next_ones_with_their_number() {
        let (sink, log, guard) = crate::LogSink::memory();
        let (subscriber, _filter) = crate::subscriber(sink, "warn").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let load = Load::default();
            load.lost(4, "it answers 400");
            load.lost(5, "it answers 400");
            load.lost(6, "it takes too long");
            load.sent(1, 0);
            load.tell(Instant::now() + TELL_EVERY);
            load.tell(Instant::now() + 2 * TELL_EVERY);
        });
        drop(guard);
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("\"count\":4") && lines[0].contains("it answers 400"));
        assert!(lines[1].contains("\"count\":11"), "{}", lines[1]);
    }
}
