//! What went on before a page was opened: a sample each second, for a quarter of an hour.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use z2api_observability::Totals;

use crate::app::App;

const EVERY: Duration = Duration::from_secs(1);
/// How many are kept: as many as the page can show.
const KEPT: usize = 15 * 60;

/// The samples. Bounded: the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Past {
    kept: Mutex<VecDeque<Sample>>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    numbers: Numbers,
}

/// What a moment is told by, in the order in which the page reads it. All but the first three only
/// grow.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Numbers(
    /// In flight.
    usize,
    /// Queued.
    usize,
    /// Resident memory, in bytes.
    u64,
    /// Begun.
    u64,
    /// Failed by the client, by the gateway, by the upstream.
    [u64; 3],
    /// Events of the upstream's answers.
    u64,
);

impl Numbers {
    pub(super) fn of(app: &App) -> Self {
        let counters = &app.counters;
        let Totals { failed_by_client, failed_by_gateway, failed_by_upstream, .. } =
            counters.recent().totals();
        Self(
            app.in_flight(),
            app.queued(),
            app.memory.resident(),
            counters.total_requests(),
            [failed_by_client, failed_by_gateway, failed_by_upstream],
            counters.metrics().stream_events(),
        )
    }
}

impl Past {
    fn add(&self, sample: Sample) {
        let mut kept = self.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// All samples, oldest first, each with how long ago it was taken.
    pub(super) fn samples(&self) -> Vec<(Duration, Numbers)> {
        let now = Instant::now();
        let ago = |sample: &Sample| (now.duration_since(sample.at), sample.numbers);
        self.lock().iter().map(ago).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a sample from time to time, for ever, as long as there is a page to show it.
pub(crate) async fn keep_past(app: Arc<App>) {
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if app.live().dashboard {
            app.past.add(Sample { at: Instant::now(), numbers: Numbers::of(&app) });
            app.paces.take(app.counters.recent());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_an_hour_is_kept_and_no_more() {
        let past = Past::default();
        for number in 0..2000 {
            let numbers = Numbers(0, 0, 0, number, [0; 3], 0);
            past.add(Sample { at: Instant::now(), numbers });
            tokio::time::advance(EVERY).await;
        }
        let samples = past.samples();
        assert_eq!(samples.len(), KEPT);
        let (ago, oldest) = samples[0];
        assert_eq!((ago, oldest.3), (EVERY * 900, 1100));
        assert_eq!(samples[899].0, EVERY);
    }
}
