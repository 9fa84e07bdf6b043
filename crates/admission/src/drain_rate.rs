//! How fast permits return, and so how long a queue takes.

use std::time::Duration;

use tokio::time::Instant;

/// Weight of the newest interval in the average.
const WEIGHT: f64 = 0.1;

/// An average of the time between two permits that return.
#[derive(Debug)]
pub(crate) struct DrainRate {
    last: Instant,
    /// Seconds. None until two have returned.
    interval: Option<f64>,
    any: bool,
}

impl DrainRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now, interval: None, any: false }
    }

    pub(crate) fn released(&mut self, now: Instant) {
        let seconds = (now - self.last).as_secs_f64();
        self.last = now;
        if std::mem::replace(&mut self.any, true) {
            let old = self.interval.unwrap_or(seconds);
            self.interval = Some(old + WEIGHT * (seconds - old));
        }
    }

    /// How long a newcomer behind `waiting` others would wait, in whole seconds from 1 to 60. If
    /// nothing has returned for longer than the average, that counts instead.
    pub(crate) fn wait_behind(&self, waiting: usize, now: Instant) -> Duration {
        let silence = (now - self.last).as_secs_f64();
        let interval = self.interval.map_or(0.0, |interval| interval.max(silence));
        let seconds = (interval * (waiting as f64 + 1.0)).ceil().clamp(1.0, 60.0);
        Duration::from_secs(seconds as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_queue_and_with_silence() {
        let start = Instant::now();
        let mut rate = DrainRate::new(start);
        assert_eq!(rate.wait_behind(100, start).as_secs(), 1, "nothing is known yet");
        rate.released(start);
        rate.released(start + Duration::from_millis(500));
        let now = start + Duration::from_millis(500);
        assert_eq!(rate.wait_behind(0, now).as_secs(), 1);
        assert_eq!(rate.wait_behind(9, now).as_secs(), 5);
        assert_eq!(rate.wait_behind(9, now + Duration::from_secs(3)).as_secs(), 30);
        assert_eq!(rate.wait_behind(9000, now).as_secs(), 60);
    }
}
