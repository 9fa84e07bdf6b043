//! Notes in a request's record how often the upstream was asked for it, and what came of each.

use z2api_observability::{ANSWERED, GIVEN_UP, Queue, Tries, Try};
use z2api_upstream_client::{Attempt, Observer, Outcome, TracePlace};

/// Watches the attempts of one request.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) tries: Tries,
}

impl Observer for Observed {
    fn waits(&self) {
        self.tries.waits(Queue::Token);
    }

    fn waited(&self) {
        self.tries.waited();
    }

    fn begins(&self, _: u32) -> Option<TracePlace> {
        let place = self.tries.begin()?;
        Some(TracePlace { parent: place.parent, state: place.state })
    }

    fn ended(&self, attempt: &Attempt) {
        let (outcome, status) = match attempt.outcome {
            Outcome::Answered => (ANSWERED, None),
            Outcome::Failed { kind, status } => (kind, status),
            Outcome::GivenUp => (GIVEN_UP, None),
        };
        let Attempt { number, token, took, status: received, unknown_events, .. } = *attempt;
        if unknown_events > 0 {
            self.tries.unknown_events(unknown_events);
            tracing::info!(
                r#type = "upstream_shape",
                unknown_events,
                "the upstream sent events of unknown shape, and no answer"
            );
        }
        self.tries.add(Try { number, token, outcome, status, received, took });
    }
}
