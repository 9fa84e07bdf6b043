//! The circuit breaker: an upstream that fails again and again is left alone for a while.
//!
//! Closed, requests pass. After so many failures in a row it opens, and requests are refused
//! without asking. When that time is over one request probes; its success closes the breaker, its
//! failure opens it for twice as long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clocks::after;
use crate::error::{Error, Verdict, Wait};

/// When to leave the upstream alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// After how many failures in a row. Default: 5. With 0 the upstream is always asked.
    pub failures: u32,
    /// For how long the first time; twice as long each time after. A random part of up to a half
    /// is added. Default: 1 s.
    pub base: Duration,
    /// The most that doubling comes to. Default: 60 s.
    pub cap: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 5, base: Duration::from_secs(1), cap: Duration::from_secs(60) }
    }
}

/// Whether the upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is left alone.
    Open {
        /// For so long.
        left: Duration,
        /// Why: the words of an [`Error`](crate::Error), safe to show.
        reason: String,
    },
    /// The next request tries it, or one is trying.
    Probing {
        /// Why it was left alone: the words of an [`Error`](crate::Error), safe to show.
        reason: String,
    },
}

/// Asked before each attempt, told after it.
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    state: Mutex<State>,
}

struct State {
    /// Failures in a row.
    failures: u32,
    /// How often it has opened since the last success.
    opened: u32,
    open: Option<Open>,
}

struct Open {
    until: Instant,
    /// Whether a request is out that will tell.
    probing: bool,
    error: Error,
}

/// Leave to ask. Dropped without a word, it says nothing about the upstream.
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Mutex::new(State { failures: 0, opened: 0, open: None }) }
    }

    /// Gives leave to ask.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while the upstream is left alone.
    pub(crate) fn pass(&self) -> Result<Pass<'_>, Error> {
        let mut state = self.lock();
        let probe = match &mut state.open {
            None => false,
            Some(open) => {
                let left = open.until.saturating_duration_since(Instant::now());
                if open.probing || !left.is_zero() {
                    let (retry_after, last) = (left.max(MIN_WAIT), Box::new(open.error.clone()));
                    return Err(Error::Unavailable { retry_after, last });
                }
                open.probing = true;
                true
            }
        };
        Ok(Pass { breaker: self, probe })
    }

    /// What it would do now.
    pub(crate) fn status(&self) -> BreakerState {
        let state = self.lock();
        let Some(open) = &state.open else { return BreakerState::Closed };
        let left = open.until.saturating_duration_since(Instant::now());
        let reason = open.error.to_string();
        if left.is_zero() {
            BreakerState::Probing { reason }
        } else {
            BreakerState::Open { left, reason }
        }
    }

    /// For how long it is open after so many times before, without the random part.
    fn step(&self, opened: u32) -> Duration {
        let factor = 2_u32.checked_pow(opened).unwrap_or(u32::MAX);
        self.policy.base.saturating_mul(factor).min(self.policy.cap)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller is told to wait while a probe is out.
const MIN_WAIT: Duration = Duration::from_secs(1);

impl Pass<'_> {
    /// The upstream has begun to answer.
    pub(crate) fn answered(self) {
        self.close();
    }

    /// The attempt failed. Only some failures are about the upstream as a whole.
    pub(crate) fn failed(self, error: &Error) {
        if is_alive(error) {
            return self.close();
        }
        let breaker = self.breaker;
        let mut state = breaker.lock();
        state.failures = state.failures.saturating_add(1);
        let trips = state.failures >= breaker.policy.failures && breaker.policy.failures > 0;
        // Requests that were sent before it opened say nothing new.
        if trips && (self.probe || state.open.is_none()) {
            let step = breaker.step(state.opened);
            let until = after(step.saturating_add(rand::random_range(Duration::ZERO..=step / 2)));
            state.opened += 1;
            state.open = Some(Open { until, probing: false, error: error.clone() });
            tracing::warn!("type" = "breaker", reason = error.kind(), "the upstream is left alone");
        }
    }

    fn close(self) {
        let mut state = self.breaker.lock();
        *state = State { failures: 0, opened: 0, open: None };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.probing = false;
        }
    }
}

/// Whether the upstream has shown that it works, whatever it thinks of this request.
fn is_alive(error: &Error) -> bool {
    match error {
        Error::Connect { .. }
        | Error::Certificate { .. }
        | Error::Disconnected { .. }
        | Error::Blocked { .. }
        | Error::Empty => false,
        Error::Timeout { which, .. } => match which {
            Wait::GuestToken | Wait::FirstEvent => false,
            Wait::NextEvent | Wait::End => true,
        },
        Error::Rejected { verdict, .. } => match verdict {
            Verdict::Transient => false,
            Verdict::Final => true,
        },
        // The guests' endpoint has a back-off of its own.
        Error::Guest(_)
        | Error::Unavailable { .. }
        | Error::RateLimited { .. }
        | Error::QuotaExhausted { .. }
        | Error::Unauthorized { .. }
        | Error::ModelNotFound { .. }
        | Error::BadRequest { .. }
        | Error::ContextLength { .. }
        | Error::ContentFilter { .. }
        | Error::Truncated
        | Error::Malformed(_)
        | Error::NotAStream { .. }
        | Error::Redirected { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn down() -> Error {
        Error::Connect { reason: "refused".to_owned() }
    }

    fn open() -> Breaker {
        let breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..5 {
            breaker.pass().ok().unwrap().failed(&down());
        }
        breaker
    }

    fn is_open(breaker: &Breaker) -> bool {
        breaker.pass().is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_no_others() {
        let breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..4 {
            breaker.pass().ok().unwrap().failed(&down());
        }
        breaker.pass().ok().unwrap().failed(&Error::Redirected { status: 302 });
        for _ in 0..4 {
            breaker.pass().ok().unwrap().failed(&down());
        }
        assert!(!is_open(&breaker));
        breaker.pass().ok().unwrap().failed(&down());
        let error = breaker.pass().err().unwrap();
        assert_eq!((error.kind(), error.is_retryable()), ("upstream_unavailable", true));
        let wait = error.retry_after().unwrap();
        assert!((1000..=1500).contains(&wait.as_millis()), "{wait:?}");
        assert!(error.to_string().contains("cannot connect"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_goes_through_and_its_success_closes() {
        let breaker = open();
        assert!(is_open(&breaker));
        assert!(matches!(breaker.status(), BreakerState::Open { .. }));
        advance(Duration::from_millis(1500)).await;
        assert!(matches!(breaker.status(), BreakerState::Probing { .. }));
        let probe = breaker.pass().ok().unwrap();
        assert!(is_open(&breaker));
        probe.answered();
        assert!(!is_open(&breaker));
        assert_eq!(breaker.status(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_for_twice_as_long_up_to_the_cap() {
        let breaker = open();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = breaker.lock().open.as_ref().unwrap().until;
            let left = (until - Instant::now()).as_millis();
            assert!((seconds * 1000..=seconds * 1500).contains(&left), "{seconds}: {left}");
            advance(Duration::from_secs(90)).await;
            breaker.pass().ok().unwrap().failed(&down());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_lets_another_try() {
        let breaker = open();
        advance(Duration::from_secs(2)).await;
        drop(breaker.pass().ok().unwrap());
        assert!(breaker.pass().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn late_failures_do_not_open_it_for_longer() {
        let breaker = Breaker::new(BreakerPolicy::default());
        let passes: Vec<_> = (0..100).map(|_| breaker.pass().ok().unwrap()).collect();
        passes.into_iter().for_each(|pass| pass.failed(&down()));
        advance(Duration::from_millis(1500)).await;
        assert!(breaker.pass().is_ok());
    }

    #[test]
    fn without_a_number_of_failures_it_never_opens() {
        let breaker = Breaker::new(BreakerPolicy { failures: 0, ..BreakerPolicy::default() });
        (0..100).for_each(|_| breaker.pass().ok().unwrap().failed(&down()));
        assert!(!is_open(&breaker));
    }
}
