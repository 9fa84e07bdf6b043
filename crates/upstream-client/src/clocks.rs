//! The two clocks of an answer that has begun: idle, and lifetime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{Error, Wait};

/// Starts with the first event.
pub(crate) struct Clocks {
    idle: Duration,
    /// When idling is over. None until the reader waits for more: while it is away, or still
    /// has something to take, the upstream is not to blame.
    idle_end: Option<Instant>,
    lifetime: Duration,
    end: Instant,
    /// Fires at or before the next end; set anew only when it has fired.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clocks {
    pub(crate) fn start(idle: Duration, lifetime: Duration) -> Self {
        Self { idle, idle_end: None, lifetime, end: after(lifetime), sleep: None }
    }

    /// Content has arrived.
    pub(crate) fn feed(&mut self) {
        self.idle_end = None;
    }

    /// Whether the answer has lasted too long, looked at without waiting.
    pub(crate) fn lifetime_is_over(&self) -> Option<Error> {
        (Instant::now() >= self.end).then(|| self.lifetime_error())
    }

    /// Whether the upstream has idled too long, looked at without waiting.
    pub(crate) fn idle_is_over(&self) -> Option<Error> {
        self.idle_end.filter(|end| Instant::now() >= *end).map(|_| self.idle_error())
    }

    /// Waits for either clock. Called while the reader waits for more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let idle_end = *self.idle_end.get_or_insert_with(|| after(self.idle));
        let next = idle_end.min(self.end);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(next)));
        if sleep.deadline() > next {
            sleep.as_mut().reset(next);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= next {
                return Poll::Ready(if next == self.end {
                    self.lifetime_error()
                } else {
                    self.idle_error()
                });
            }
            sleep.as_mut().reset(next);
        }
        Poll::Pending
    }

    fn idle_error(&self) -> Error {
        Error::Timeout { which: Wait::NextEvent, limit: self.idle }
    }

    fn lifetime_error(&self) -> Error {
        Error::Timeout { which: Wait::End, limit: self.lifetime }
    }
}

/// That long from now. A duration beyond all clocks is a year.
pub(crate) fn after(duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + duration.min(YEAR)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    async fn wait(clocks: &mut Clocks) -> &'static str {
        poll_fn(|cx| clocks.poll(cx)).await.kind()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_idle_limit_and_not_before() {
        let begin = Instant::now();
        let mut clocks = Clocks::start(seconds(60), seconds(300));
        assert_eq!(wait(&mut clocks).await, "upstream_idle_timeout");
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn content_feeds_the_idle_clock_and_not_the_lifetime() {
        let begin = Instant::now();
        let mut clocks = Clocks::start(seconds(60), seconds(300));
        for _ in 0..5 {
            assert!(timeout(seconds(59), wait(&mut clocks)).await.is_err());
            clocks.feed();
        }
        assert_eq!(wait(&mut clocks).await, "upstream_lifetime_timeout");
        assert_eq!(begin.elapsed().as_secs(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_clock_stands_still_while_the_reader_is_away() {
        let mut clocks = Clocks::start(seconds(60), seconds(300));
        clocks.feed();
        advance(seconds(200)).await;
        assert!(clocks.idle_is_over().is_none());
        assert!(timeout(seconds(59), wait(&mut clocks)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_limit_is_no_overflow() {
        let mut clocks = Clocks::start(Duration::MAX, Duration::MAX);
        assert!(timeout(seconds(1000), wait(&mut clocks)).await.is_err());
        assert!(clocks.lifetime_is_over().is_none());
    }
}
