//! When to ask again, and how long to wait before.

use std::time::Duration;

/// How often to ask again and how long to wait: an exponential step, and a random jitter on top. Only failures that may pass are tried again, and only before the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often to ask again after the first attempt. Default: 3.
    pub retries: u32,
    /// The first step. Default: 1 s.
    pub base: Duration,
    /// The most a step can be. Default: 10 s.
    pub cap: Duration,
    /// The least jitter. Default: 100 ms.
    pub jitter_min: Duration,
    /// The most jitter; not below the least. Default: 500 ms.
    pub jitter_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 3,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(10),
            jitter_min: Duration::from_millis(100),
            jitter_max: Duration::from_millis(500),
        }
    }
}

impl RetryPolicy {
    /// The wait before retry `retry` (from 0): what the upstream asks for, or else the step; with
    /// jitter on top, so that many who wait do not come back at once.
    pub(crate) fn delay(&self, retry: u32, asked_for: Option<Duration>) -> Duration {
        let wait = asked_for.unwrap_or_else(|| self.step(retry));
        wait.saturating_add(rand::random_range(self.jitter_min..=self.jitter_max))
    }

    /// `min(cap, base * 2^retry)`, without overflow.
    fn step(&self, retry: u32) -> Duration {
        let factor = 2_u32.checked_pow(retry).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_the_cap_and_never_overflow() {
        let policy = RetryPolicy::default();
        let steps: Vec<u64> = (0..6).map(|retry| policy.step(retry).as_secs()).collect();
        assert_eq!(steps, [1, 2, 4, 8, 10, 10]);
        assert_eq!(policy.step(u32::MAX), policy.cap);
        let policy = RetryPolicy { base: Duration::MAX, cap: Duration::MAX, ..policy };
        assert_eq!(policy.step(40), Duration::MAX);
    }

    #[test]
    fn a_wait_is_the_step_and_a_jitter_within_its_bounds() {
        let policy = RetryPolicy::default();
        for _ in 0..1000 {
            let delay = policy.delay(1, None);
            assert!(delay >= Duration::from_secs(2) + policy.jitter_min, "{delay:?}");
            assert!(delay <= Duration::from_secs(2) + policy.jitter_max, "{delay:?}");
        }
    }

    #[test]
    fn the_upstream_never_gets_less_than_it_asked_for() {
        let policy = RetryPolicy::default();
        let asked = Duration::from_secs(7);
        assert!(policy.delay(0, Some(asked)) >= asked);
        assert_eq!(policy.delay(0, Some(Duration::MAX)), Duration::MAX);
    }
}
