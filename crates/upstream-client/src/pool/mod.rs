//! The tokens of a client: which one a request takes, and who waits for one.
//!
//! A request takes the least busy token that is well and has room for its model. Without one it
//! waits its turn, as long as there is hope before its deadline. No task runs here: whoever waits
//! looks again after each change, or when a rest is over.

mod lease;
mod limit;
mod queue;
mod slot;
mod status;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use z2api_wire::fault::Fault;

pub(crate) use self::lease::{Again, Lease};
use self::queue::Queues;
pub(crate) use self::slot::{PROBE, Source};
use self::slot::{Ready, RestKind, Slot};
pub use self::status::{ModelLimit, TokenState, TokenStatus};
use crate::clocks::after;
use crate::error::Error;
use crate::retry::RetryPolicy;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of whatever may let a waiting request go on.
    changed: Notify,
    retry: RetryPolicy,
}

struct State {
    slots: Vec<Slot>,
    takes: u64,
    queues: Queues,
}

/// What a request that wants a token is told.
enum Turn {
    Take(usize),
    /// Look again after the next change, or at this moment.
    Wait(Option<Instant>),
    Refuse(Error),
}

impl Pool {
    /// A pool of these, at least one.
    pub(crate) fn new(sources: Vec<Source>, retry: RetryPolicy) -> Self {
        let slots = sources.into_iter().map(Slot::new).collect();
        let state = Mutex::new(State { slots, takes: 0, queues: Queues::default() });
        Self { shared: Arc::new(Shared { state, changed: Notify::new(), retry }) }
    }

    /// Takes a token for a request to this model, waiting its turn. Dropping the future gives the
    /// turn up.
    ///
    /// # Errors
    /// Why there will be none before the deadline: the error of the token that is back first.
    pub(crate) async fn take(&self, model: &str, deadline: Instant) -> Result<Lease, Error> {
        let shared = &self.shared;
        let place = Place { shared, model, number: shared.lock().queues.join(model) };
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = match place.look(deadline)? {
                Ok(lease) => return Ok(lease),
                Err(until) => until,
            };
            let until = until.map_or(deadline, |until| until.min(deadline));
            let _either = timeout_at(until, changed).await;
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().queues.len()
    }

    /// How long until some token is no longer at rest.
    pub(crate) fn rest(&self) -> Duration {
        let now = Instant::now();
        let state = self.shared.lock();
        let left = state.slots.iter().filter_map(|slot| match slot.ready(now) {
            Ready::Now => Some(slot.source.rest()),
            Ready::At(until) => Some(until - now),
            Ready::Never => None,
        });
        left.min().unwrap_or_default()
    }

    /// Whether some token is of use to a request that comes now.
    pub(crate) fn is_of_use(&self) -> bool {
        let now = Instant::now();
        self.shared.lock().slots.iter().any(|slot| slot.is_of_use(now))
    }

    /// Begins what may make a token of use again, if it is time.
    pub(crate) fn try_again(&self) {
        for slot in &self.shared.lock().slots {
            match &slot.source {
                Source::Given(_) => {}
                Source::Guests(guests) => guests.try_again(),
            }
        }
    }

    pub(crate) fn status(&self) -> Vec<TokenStatus> {
        let now = Instant::now();
        let state = self.shared.lock();
        state
            .slots
            .iter()
            .enumerate()
            .map(|(position, slot)| status_of(position, slot, now))
            .collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&mut self, model: &str, first: bool, now: Instant, deadline: Instant) -> Turn {
        let well =
            || self.slots.iter().enumerate().filter(|(_, slot)| slot.ready(now) == Ready::Now);
        let with_room = well().filter(|(_, slot)| slot.has_room(model));
        if let Some((at, _)) = with_room.min_by_key(|(_, slot)| (slot.in_flight, slot.taken)) {
            return if first { Turn::Take(at) } else { Turn::Wait(None) };
        }
        let back = self.slots.iter().filter_map(|slot| match slot.ready(now) {
            Ready::At(until) => Some(until),
            Ready::Now | Ready::Never => None,
        });
        let back = back.min();
        if well().next().is_some() || back.is_some_and(|back| back < deadline) {
            return Turn::Wait(back);
        }
        self.probe_or_refuse(now)
    }

    /// No token is well before the deadline.
    fn probe_or_refuse(&mut self, now: Instant) -> Turn {
        let alive = |slot: &Slot| slot.ready(now) != Ready::Never;
        let due = |slot: &mut Slot| {
            slot.rest.as_mut().filter(|rest| rest.until <= now).map(|rest| {
                rest.until = after(PROBE);
            })
        };
        if !self.slots.iter().any(alive)
            && let Some(at) = self.slots.iter_mut().position(|slot| due(slot).is_some())
        {
            return Turn::Take(at);
        }
        let rests = self.slots.iter().filter_map(|slot| slot.rest.as_ref());
        let soonest = rests.min_by_key(|rest| (rest.kind == RestKind::Dead, rest.until));
        match soonest {
            Some(rest) if rest.kind == RestKind::Dead => Turn::Refuse(rest.error.clone()),
            Some(rest) => Turn::Refuse(rest.error.clone().asking_for(rest.until - now)),
            None => Turn::Refuse(no_turn()),
        }
    }

    fn send(&mut self, slot: usize, model: &str) -> (limit::Sent, Source) {
        self.takes += 1;
        let slot = &mut self.slots[slot];
        slot.taken = self.takes;
        (slot.send(model), slot.source.clone())
    }
}

/// A place in the queue. Dropping it lets the next one go on.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    model: &'a str,
    number: u64,
}

impl Place<'_> {
    /// Gives a token, or when to look again; an error ends the wait.
    fn look(&self, deadline: Instant) -> Result<Result<Lease, Option<Instant>>, Error> {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let first = state.queues.is_first(self.model, self.number);
        match state.turn(self.model, first, now, deadline) {
            Turn::Take(slot) => {
                let (sent, source) = state.send(slot, self.model);
                let (pool, model) = (Arc::clone(self.shared), self.model.to_owned());
                Ok(Ok(Lease { pool, slot, model, sent, source }))
            }
            Turn::Wait(_) if now >= deadline => Err(no_turn()),
            Turn::Wait(until) => Ok(Err(until)),
            Turn::Refuse(error) => Err(error),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().queues.leave(self.model, self.number);
        self.shared.changed.notify_waiters();
    }
}

fn no_turn() -> Error {
    let message = "as many requests are in flight as the upstream allows".to_owned();
    let fault = Fault { code: None, message };
    Error::RateLimited { status: None, retry_after: None, fault, body: Box::default() }
}

fn status_of(position: usize, slot: &Slot, now: Instant) -> TokenStatus {
    let state = match (&slot.rest, slot.ready(now)) {
        (None, _) | (_, Ready::Now) => slot.source.state(),
        (Some(rest), Ready::At(_) | Ready::Never) => {
            let (left, reason) =
                (rest.until.saturating_duration_since(now), rest.error.to_string());
            match rest.kind {
                RestKind::Cooling => TokenState::Cooling { left, reason },
                RestKind::Parked => TokenState::Parked { left, reason },
                RestKind::Dead => TokenState::Dead { reason },
            }
        }
    };
    let limit = |(model, limit): (&String, &limit::Limit)| {
        let (model, in_flight) = (model.clone(), limit.in_flight());
        limit.allowed().map(|allowed| ModelLimit { model, allowed, in_flight })
    };
    let mut limits: Vec<_> = slot.limits.iter().filter_map(limit).collect();
    limits.sort_by(|a, b| a.model.cmp(&b.model));
    let guest = matches!(slot.source, Source::Guests(_));
    TokenStatus { position, guest, state, in_flight: slot.in_flight, limits }
}
