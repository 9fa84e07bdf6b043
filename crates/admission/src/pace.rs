//! How long permits are held, and so how long a queue takes.

use std::time::Duration;

use tokio::time::Instant;

/// The average is over about so many of the latest permits.
const MEMORY: f64 = 64.0;
/// Before so many have returned, nobody is refused for what the average says.
const ENOUGH: u32 = 16;
/// The golden ratio's fraction: steps of it spread evenly over 0..1.
const STEP: f64 = 0.618_033_988_749_894_9;

/// The average time between taking a permit and giving it back. At the limit, permits return as
/// often as limit / average (Little's law); unlike the time between two returns, the average does
/// not stretch while there is little to do.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Seconds.
    held: f64,
    returned: u32,
    /// When a permit last returned, or the queue last began.
    last: Instant,
    /// From 0 to 1, so that those refused together do not come back together.
    spread: f64,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { held: 0.0, returned: 0, last: now, spread: 0.5 }
    }

    /// A permit has returned that was held for so long.
    pub(crate) fn returned(&mut self, held: Duration, now: Instant) {
        self.returned = self.returned.saturating_add(1);
        let weight = f64::from(self.returned).min(MEMORY).recip();
        self.held += weight * (held.as_secs_f64() - self.held);
        self.last = now;
    }

    /// Somebody waits, who is the first to do so.
    pub(crate) fn queue_begins(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long somebody behind `ahead` others would wait; None while too little is known.
    pub(crate) fn predict(&self, ahead: usize, limit: usize) -> Option<Duration> {
        (self.returned >= ENOUGH).then(|| seconds(self.each(limit) * (ahead as f64 + 1.0)))
    }

    /// When somebody behind `ahead` others should come back. If nothing has returned for longer
    /// than the average, that counts instead.
    pub(crate) fn retry_after(&mut self, ahead: usize, limit: usize, now: Instant) -> Duration {
        let silence = now.saturating_duration_since(self.last).as_secs_f64();
        let each = match self.returned {
            0 => 0.0,
            _ => self.each(limit).max(silence),
        };
        self.spread = (self.spread + STEP).fract();
        let jitter = 0.8 + 0.4 * self.spread;
        within_a_minute(each * (ahead as f64 + 1.0) * jitter)
    }

    /// When somebody with so many requests going can expect one of them to end.
    pub(crate) fn one_of(&self, going: u32) -> Duration {
        within_a_minute(self.held / f64::from(going.max(1)))
    }

    /// Seconds between two returns when all permits are out.
    fn each(&self, limit: usize) -> f64 {
        self.held / limit.max(1) as f64
    }
}

fn within_a_minute(wait: f64) -> Duration {
    Duration::from_secs(wait.ceil().clamp(1.0, 60.0) as u64)
}

/// At most about a century, so that no sum of times overflows.
fn seconds(wait: f64) -> Duration {
    Duration::from_secs_f64(wait.clamp(0.0, 3e9))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pace(held: u64, times: u32) -> (Pace, Instant) {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..times {
            pace.returned(Duration::from_secs(held), now);
        }
        (pace, now)
    }

    #[test]
    fn a_prediction_wants_some_experience() {
        assert_eq!(pace(10, 15).0.predict(0, 10), None);
        assert_eq!(pace(10, 16).0.predict(0, 10), Some(Duration::from_secs(1)));
        assert_eq!(pace(10, 16).0.predict(4, 10), Some(Duration::from_secs(5)));
    }

    #[test]
    fn idle_times_do_not_make_the_queue_look_slow() {
        let (mut pace, now) = pace(1, 100);
        let later = now + Duration::from_secs(3600);
        pace.queue_begins(later);
        assert_eq!(pace.retry_after(0, 10, later).as_secs(), 1);
        assert_eq!(pace.predict(9, 10), Some(Duration::from_secs(1)));
    }

    #[test]
    fn coming_back_takes_as_long_as_the_queue_and_no_more_than_a_minute() {
        let (mut pace, now) = pace(10, 100);
        for _ in 0..50 {
            let wait = pace.retry_after(19, 10, now).as_secs();
            assert!((16..=24).contains(&wait), "20 s, give or take a fifth: {wait}");
        }
        let stuck = pace.retry_after(0, 10, now + Duration::from_secs(30)).as_secs();
        assert!((24..=36).contains(&stuck), "nothing returned for 30 s: {stuck}");
        assert_eq!(pace.retry_after(9000, 10, now).as_secs(), 60);
        assert_eq!(pace.one_of(2).as_secs(), 5);
    }

    #[test]
    fn those_refused_together_come_back_at_different_times() {
        let (mut pace, now) = pace(10, 100);
        let waits: std::collections::BTreeSet<u64> =
            (0..20).map(|_| pace.retry_after(19, 10, now).as_secs()).collect();
        assert!(waits.len() >= 6, "{waits:?}");
    }
}
