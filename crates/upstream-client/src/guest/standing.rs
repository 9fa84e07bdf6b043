//! How guests fare: what is told of them, and whether a request can be sent as one.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{Failure, Fetch, Guests, State};
use crate::pool::{PROBE, TokenState};

/// From how many refusals in a row on guests as such are refused. One may only have been too old.
const REFUSED: u32 = 2;
/// How long a fetch that nobody waits for leaves the upstream alone after one that failed, at least.
const QUIET: Duration = Duration::from_secs(1);

impl Guests {
    /// As the tokens of the settings are told of. Before the first was asked for all is well.
    pub(crate) fn state(&self) -> TokenState {
        let now = Instant::now();
        let state = self.lock();
        if let Some((error, _)) = state.refused.as_ref().filter(|_| state.are_refused()) {
            return TokenState::Dead { reason: error.to_string() };
        }
        match state.failed.as_ref().filter(|_| !state.has_token(now)) {
            Some(Failure { error, until, .. }) => TokenState::Cooling {
                left: until.saturating_duration_since(now),
                reason: error.to_string(),
            },
            None => TokenState::Ok,
        }
    }

    /// Whether a request that comes now could be sent. After a failed fetch not before one that
    /// succeeds; where guests are refused, when they are due to be tried again.
    pub(crate) fn are_of_use(&self) -> bool {
        let now = Instant::now();
        let state = self.lock();
        let due = |at: Instant| at + PROBE <= now;
        let refused =
            state.are_refused() && !state.refused.as_ref().is_some_and(|(_, at)| due(*at));
        !refused && (state.has_token(now) || state.failed.is_none())
    }

    /// How long until a fetch may be begun, if one is needed.
    pub(crate) fn rest(&self) -> Duration {
        let now = Instant::now();
        let state = self.lock();
        let failed = state.failed.as_ref().filter(|_| !state.has_token(now));
        failed.map_or(Duration::ZERO, |failed| failed.until.saturating_duration_since(now))
    }

    /// Begins a fetch in the place of a failed one, if it is time: requests that would begin one may
    /// go elsewhere for as long as there is no token.
    pub(crate) fn try_again(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let runs = state.fetch.as_ref().is_some_and(Fetch::runs);
        let is_due = |failed: &Failure| failed.until.max(failed.at + QUIET) <= now;
        let due = state.failed.as_ref().is_some_and(is_due);
        if due && !runs && !state.has_token(now) && Handle::try_current().is_ok() {
            self.start(&mut state);
        }
    }
}

impl State {
    fn has_token(&self, now: Instant) -> bool {
        self.have.as_ref().is_some_and(|have| now < have.end)
    }

    fn are_refused(&self) -> bool {
        self.refusals >= REFUSED
    }
}
