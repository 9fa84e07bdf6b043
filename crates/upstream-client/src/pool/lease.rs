//! A token taken for one request, and what came of it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::effect::{self, Effect};
use crate::error::Error;
use crate::guest::Key;
use crate::pool::Shared;
use crate::pool::limit::Sent;
use crate::pool::slot::{RestKind, Source};

/// A place in flight. Dropping it gives the place back: an answer holds it to its end.
pub(crate) struct Lease {
    pub(super) pool: Arc<Shared>,
    pub(super) slot: usize,
    pub(super) model: String,
    pub(super) sent: Sent,
    pub(super) source: Source,
}

/// What a refused request may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Ask once more at once, and it is no retry: with another token, or when there is room.
    Free,
    /// Ask as a new guest, once.
    NewGuest,
    /// The token rests; whether to ask once more is for the retry policy to say, when for the pool.
    Rested,
    /// Nothing was done to the token.
    Untouched,
}

impl Lease {
    /// The token's place in the settings.
    pub(crate) fn position(&self) -> usize {
        self.slot
    }

    /// The token, or a guest's that is fetched for this request. Waits for one that is fetched for
    /// another.
    ///
    /// # Errors
    /// Why no guest's is to be had, as the others were told that have asked.
    pub(crate) async fn key(&self) -> Result<Key, Error> {
        match &self.source {
            Source::Given(token) => Ok(Key::Token(token.clone())),
            Source::Guests(guests) => guests.key().await,
        }
    }

    /// An answer has begun.
    pub(crate) fn answered(&self) {
        if let Source::Guests(guests) = &self.source {
            guests.accepted();
        }
        let mut state = self.pool.lock();
        state.slots[self.slot].answered(&self.model, self.sent, Instant::now());
        drop(state);
        self.pool.changed.notify_waiters();
    }

    /// The request failed; `generation` is that of the guest it was sent as.
    pub(crate) fn failed(&self, error: &Error, generation: Option<u64>) -> Again {
        let effect = effect::of(error);
        match (&self.source, effect, generation) {
            (Source::Guests(guests), Effect::Kill, Some(generation)) => {
                guests.forget(generation, error);
                return Again::NewGuest;
            }
            (Source::Guests(_), Effect::Kill, None) => return Again::Untouched,
            (Source::Guests(_), _, None) if matches!(error, Error::Guest(_)) => {
                return Again::Rested;
            }
            (Source::Guests(_) | Source::Given(_), _, _) => {}
        }
        let again = self.punish(effect, error);
        self.pool.changed.notify_waiters();
        again
    }

    fn punish(&self, effect: Effect, error: &Error) -> Again {
        let now = Instant::now();
        let mut state = self.pool.lock();
        let slot = &mut state.slots[self.slot];
        let step = |cooled| self.pool.retry.delay(cooled, error.retry_after());
        match effect {
            Effect::Keep => return Again::Untouched,
            Effect::Slow => {
                let alone = slot.refused(&self.model, self.sent);
                if !alone && error.retry_after().is_none() {
                    return Again::Free;
                }
                slot.cool(error.clone(), now, step);
                return Again::Rested;
            }
            Effect::Cool => {
                slot.cool(error.clone(), now, step);
                return Again::Rested;
            }
            Effect::Park => slot.park(error.clone()),
            Effect::Kill => slot.die(error.clone()),
        }
        let lives = |rest| matches!(rest, None | Some(RestKind::Cooling));
        let another =
            state.slots.iter().any(|slot| lives(slot.rest.as_ref().map(|rest| rest.kind)));
        if another { Again::Free } else { Again::Untouched }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.lock().slots[self.slot].ended(&self.model, self.sent);
        self.pool.changed.notify_waiters();
    }
}
