//! Counts since the start: the few that `/health` and `/status` tell, and the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::recent::Recent;

/// Counts of chat requests since the start.
#[derive(Debug)]
pub struct Counters {
    started: Instant,
    total: AtomicU64,
    errors: AtomicU64,
    finished: AtomicU64,
    millis: AtomicU64,
    metrics: Metrics,
    recent: Recent,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            total: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            millis: AtomicU64::new(0),
            metrics: Metrics::default(),
            recent: Recent::default(),
        }
    }
}

impl Counters {
    pub(crate) fn begun(&self) {
        self.total.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, took: Duration, failed: bool) {
        self.errors.fetch_add(u64::from(failed), Relaxed);
        self.finished.fetch_add(1, Relaxed);
        self.millis.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The metrics of all requests.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The last chat requests, and their totals.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Chat requests, refused ones too.
    pub fn total_requests(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Those answered with 400 or above, or failed within their stream.
    pub fn error_count(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Errors in whole per cent of all.
    pub fn error_rate(&self) -> u64 {
        (self.error_count() * 100).checked_div(self.total_requests()).unwrap_or(0)
    }

    /// Mean milliseconds of the finished ones, streams counted whole.
    pub fn average_response_time(&self) -> u64 {
        self.millis.load(Relaxed).checked_div(self.finished.load(Relaxed)).unwrap_or(0)
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_and_never_divide_by_zero() {
        let counters = Counters::default();
        assert_eq!((counters.error_rate(), counters.average_response_time()), (0, 0));
        for (millis, failed) in [(10, false), (20, true), (33, false)] {
            counters.begun();
            counters.ended(Duration::from_millis(millis), failed);
        }
        assert_eq!((counters.error_rate(), counters.average_response_time()), (33, 21));
    }
}
