//! Whether a queue stands rather than moves: the signal to serve the newest first.
//!
//! A queue that is never short is of no use as a buffer: whoever is served has waited nearly until
//! its deadline. Then the newest first: most wait little, the rest is refused anyway (CoDel's
//! signal, "Controlling Queue Delay", 2012, and the adaptive LIFO of "Fail at Scale", 2015).

use std::time::Duration;

use tokio::time::Instant;

/// The share of the longest wait that may be waited for some time: a quarter.
const TARGET: u32 = 4;

/// The state of one queue.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    /// Since when all who were served had waited longer than the target.
    slow_since: Option<Instant>,
    newest_first: bool,
}

impl Overload {
    pub(crate) fn newest_first(&self) -> bool {
        self.newest_first
    }

    /// Somebody is served who waited for `waited`; `oldest` is the longest that anybody else has.
    pub(crate) fn served(
        &mut self,
        waited: Duration,
        oldest: Option<Duration>,
        longest: Duration,
        now: Instant,
    ) {
        let target = longest / TARGET;
        let slow = if self.newest_first { oldest.unwrap_or_default() } else { waited } > target;
        if !slow {
            *self = Self::default();
            return;
        }
        let since = *self.slow_since.get_or_insert(now);
        self.newest_first |= now.saturating_duration_since(since) >= target;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(8);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_is_no_overload() {
        let (mut overload, now) = (Overload::default(), Instant::now());
        overload.served(seconds(7), Some(seconds(7)), LONGEST, now);
        overload.served(seconds(7), Some(seconds(6)), LONGEST, now + seconds(1));
        overload.served(seconds(1), Some(seconds(1)), LONGEST, now + seconds(2));
        overload.served(seconds(7), Some(seconds(6)), LONGEST, now + seconds(3));
        assert!(!overload.newest_first());
    }

    #[test]
    fn a_queue_that_stands_is_and_one_that_has_moved_on_is_not_any_more() {
        let (mut overload, now) = (Overload::default(), Instant::now());
        overload.served(seconds(3), Some(seconds(3)), LONGEST, now);
        overload.served(seconds(3), Some(seconds(3)), LONGEST, now + seconds(2));
        assert!(overload.newest_first());
        // The newest has waited for nothing: that alone does not mean that the others are served.
        overload.served(seconds(0), Some(seconds(5)), LONGEST, now + seconds(3));
        assert!(overload.newest_first());
        overload.served(seconds(0), Some(seconds(1)), LONGEST, now + seconds(4));
        assert!(!overload.newest_first());
    }
}
