//! A limit that follows the upstream: lower when first events come late or it says "too many".
//!
//! The signal is the time to the first event, not the whole duration, which depends on how much is
//! said. Each class of requests is compared with its own past, since a long prompt takes longer in
//! the best of times. The limit moves as in Netflix's Gradient2, with no probing at a low limit.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The limit moves at most so often.
const WINDOW: Duration = Duration::from_secs(1);
/// Fewer samples say nothing.
const ENOUGH: usize = 10;
/// More samples of a window say no more.
const PLENTY: usize = 256;
/// The past of a class is the average of about so many.
const MEMORY: f64 = 600.0;
/// Classes beyond this are not looked at.
const MAX_CLASSES: usize = 256;
/// How much later than ever first events may come before the limit falls.
const TOLERANCE: f64 = 1.5;
/// The part of the way to the new limit that is gone each time.
const SMOOTHING: f64 = 0.2;
/// What is left after the upstream has said "too many".
const AFTER_REFUSAL: f64 = 0.9;

/// The limit in force.
#[derive(Debug)]
pub(crate) struct Adaptive {
    on: bool,
    ceiling: usize,
    limit: f64,
    classes: BTreeMap<u64, Past>,
    /// Times to first events, each as a multiple of its class's past.
    window: Vec<f64>,
    since: Instant,
    last_refusal: Option<Instant>,
}

/// The average time to first events of a class, in seconds.
#[derive(Debug, Default)]
struct Past {
    average: f64,
    samples: u32,
}

impl Adaptive {
    pub(crate) fn new(on: bool, ceiling: usize, now: Instant) -> Self {
        Self {
            on,
            ceiling,
            limit: ceiling as f64,
            classes: BTreeMap::new(),
            window: Vec::new(),
            since: now,
            last_refusal: None,
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    pub(crate) fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Takes new settings. A limit that had not come down goes up with the ceiling.
    pub(crate) fn set(&mut self, on: bool, ceiling: usize) {
        let was_down = self.on && on && self.limit() < self.ceiling;
        self.on = on;
        self.ceiling = ceiling;
        self.limit = if was_down { self.limit.min(ceiling as f64) } else { ceiling as f64 };
    }

    /// A request of this class had its first event after so long.
    pub(crate) fn first_event(
        &mut self,
        class: u64,
        took: Duration,
        in_flight: usize,
        now: Instant,
    ) {
        if !self.on || (self.classes.len() >= MAX_CLASSES && !self.classes.contains_key(&class)) {
            return;
        }
        let past = self.classes.entry(class).or_default();
        if past.samples as usize >= ENOUGH && self.window.len() < PLENTY {
            self.window.push(took.as_secs_f64() / past.average.max(1e-6));
        }
        past.add(took.as_secs_f64());
        if now.saturating_duration_since(self.since) >= WINDOW && self.window.len() >= ENOUGH {
            self.step(in_flight);
            self.since = now;
        }
    }

    /// The upstream has said "too many". Once a window; those that were sent together count once.
    pub(crate) fn refused(&mut self, now: Instant) {
        let just_heard = |at: Instant| now.saturating_duration_since(at) < WINDOW;
        if self.on && !self.last_refusal.is_some_and(just_heard) {
            self.last_refusal = Some(now);
            self.limit = (self.limit * AFTER_REFUSAL).max(self.floor());
        }
    }

    fn step(&mut self, in_flight: usize) {
        let gradient = (TOLERANCE / median(&mut self.window)).clamp(0.5, 1.0);
        self.window.clear();
        let room_to_grow = self.limit.sqrt().max(4.0);
        let aim = self.limit * gradient + room_to_grow;
        let next = self.limit + SMOOTHING * (aim - self.limit);
        // A limit that nobody comes near says nothing about whether more would be good.
        if next > self.limit && (in_flight as f64) < self.limit / 2.0 {
            return;
        }
        self.limit = next.clamp(self.floor(), self.ceiling as f64);
    }

    /// Never less than a tenth of the ceiling, nor than 8, nor than the ceiling.
    fn floor(&self) -> f64 {
        (self.ceiling as f64 / 10.0).ceil().max(8.0).min(self.ceiling as f64)
    }
}

impl Past {
    fn add(&mut self, seconds: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = f64::from(self.samples).min(MEMORY).recip();
        self.average += weight * (seconds - self.average);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Feeds `seconds` windows of first events, each after so many milliseconds.
    fn feed(limit: &mut Adaptive, now: &mut Instant, windows: u32, class: u64, millis: u64) {
        for _ in 0..windows {
            *now += WINDOW;
            for _ in 0..20 {
                let in_flight = limit.limit();
                limit.first_event(class, Duration::from_millis(millis), in_flight, *now);
            }
        }
    }

    #[test]
    fn late_first_events_bring_the_limit_down_and_it_comes_back() {
        let mut now = Instant::now();
        let mut limit = Adaptive::new(true, 100, now);
        feed(&mut limit, &mut now, 5, 1, 100);
        assert_eq!(limit.limit(), 100);
        feed(&mut limit, &mut now, 10, 1, 1000);
        let low = limit.limit();
        assert!((10..80).contains(&low), "{low}");
        feed(&mut limit, &mut now, 100, 1, 100);
        assert_eq!(limit.limit(), 100, "never above the ceiling");
    }

    #[test]
    fn classes_that_take_long_by_nature_are_no_reason() {
        let mut now = Instant::now();
        let mut limit = Adaptive::new(true, 100, now);
        for _ in 0..20 {
            feed(&mut limit, &mut now, 1, 1, 100);
            feed(&mut limit, &mut now, 1, 2, 5000);
        }
        assert_eq!(limit.limit(), 100);
    }

    #[test]
    fn refusals_bring_it_down_once_a_window_and_not_below_the_floor() {
        let mut now = Instant::now();
        let mut limit = Adaptive::new(true, 100, now);
        (0..50).for_each(|_| limit.refused(now));
        assert_eq!(limit.limit(), 90);
        for _ in 0..100 {
            now += WINDOW;
            limit.refused(now);
        }
        assert_eq!(limit.limit(), 10);
        let mut small = Adaptive::new(true, 3, now);
        small.refused(now);
        assert_eq!(small.limit(), 3, "a small ceiling is its own floor");
    }

    #[test]
    fn without_use_it_does_not_grow_and_switched_off_it_is_the_ceiling() {
        let mut now = Instant::now();
        let mut limit = Adaptive::new(true, 100, now);
        limit.refused(now);
        for _ in 0..20 {
            now += WINDOW;
            for _ in 0..20 {
                limit.first_event(1, Duration::from_millis(100), 3, now);
            }
        }
        assert_eq!(limit.limit(), 90);
        limit.set(true, 200);
        assert_eq!(limit.limit(), 90);
        limit.set(false, 200);
        limit.refused(now + WINDOW);
        assert_eq!(limit.limit(), 200);
    }
}
