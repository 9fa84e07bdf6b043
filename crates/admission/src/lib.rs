//! A limit, a bounded queue, a permit, fair between callers. Never learns what a request is.
//!
//! Whoever wants to be in flight first takes a [`Share`] of what its caller may have, which refuses
//! at once what is hopeless, and then a [`Permit`], for which it may have to wait:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use z2api_admission::{Admission, Caller, Reason, Settings};
//!
//! let mut settings = Settings::default();
//! settings.max_in_flight = 1;
//! settings.queue = 0;
//! let admission = Admission::new(settings);
//! let anyone = Caller::unlimited(1);
//! let permit = admission.share(&anyone).unwrap().admit().await.unwrap();
//! let refused = admission.share(&anyone).unwrap_err();
//! assert_eq!(refused.reason, Reason::QueueFull);
//! drop(permit);
//! assert!(admission.share(&anyone).is_ok());
//! # }
//! ```
//!
//! - A free permit goes to the caller with the fewest permits, in turn; within a caller to whoever
//!   waits longest, or to the newest while that caller's queue stands (`overload`).
//! - A full queue takes a newcomer in the place of the newest waiter of the caller that has most,
//!   if that one still has no less afterwards.
//! - Whoever could not be served in time by all experience is refused at once (`pace`).
//! - Everything is decided under one lock (`state`), which is held for no longer than a few map
//!   operations and never while foreign code runs: a permit cannot be lost or doubled between two
//!   of its steps. A model of it is checked with loom.

mod adaptive;
mod callers;
mod overload;
mod pace;
mod place;
mod queue;
mod reason;
mod state;
mod sync;

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub use callers::{Caller, Rate};
use place::Place;
pub use reason::{Doing, Reason, Rejected};
use state::{Entry, State};
use sync::{Arc, Mutex, MutexGuard};

/// How many may be in flight, how many may wait, and for how long.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Settings {
    /// How many permits there are. Default: 1000.
    pub max_in_flight: usize,
    /// How many may wait for one. Default: 500.
    pub queue: usize,
    /// How long one may wait. Default: 10 s.
    pub queue_timeout: Duration,
    /// Whether fewer permits are given out while what they are for is slow or refuses
    /// ([`Admission::first_event`], [`Admission::refused_upstream`]). Default: no.
    pub adaptive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_in_flight: 1000,
            queue: 500,
            queue_timeout: Duration::from_secs(10),
            adaptive: false,
        }
    }
}

/// Hands out permits. Cheap to clone; clones share the permits.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when nothing is in flight and nobody waits.
    idle: Notify,
}

/// A caller's place among its own requests, from its first moment to its last. Dropping it gives
/// the place back.
#[must_use = "a dropped share is given back"]
pub struct Share {
    /// None once its permit has given it back.
    shared: Option<Arc<Shared>>,
    key: u64,
}

/// The right to be in flight. Dropping it gives the slot to whoever is next.
#[derive(Debug)]
#[must_use = "a dropped permit gives its slot away"]
pub struct Permit {
    share: Share,
    since: Instant,
}

impl Admission {
    /// An admission with all its permits free.
    pub fn new(settings: Settings) -> Self {
        let state = State::new(settings, Instant::now());
        let shared = Shared { state: Mutex::new(state), idle: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a share of what the caller may have. Costs nothing if it is refused.
    ///
    /// # Errors
    /// Any [`Reason`] but [`Reason::QueueTimeout`].
    pub fn share(&self, caller: &Caller) -> Result<Share, Rejected> {
        let now = Instant::now();
        self.shared.with(|state| state.share(caller, now))?;
        Ok(Share { shared: Some(self.shared.clone()), key: caller.key })
    }

    /// What a caller has left of the requests that it may make in a minute; None if it may make
    /// any number.
    pub fn rate(&self, caller: &Caller) -> Option<Rate> {
        self.shared.lock().rate(caller, Instant::now())
    }

    /// How many permits are out.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight()
    }

    /// How many wait.
    pub fn queued(&self) -> usize {
        self.shared.lock().queued()
    }

    /// How many permits there are at the moment.
    pub fn limit(&self) -> usize {
        self.shared.lock().limit()
    }

    /// How many permits there are at most: the setting.
    pub fn ceiling(&self) -> usize {
        self.shared.lock().ceiling()
    }

    /// Takes new settings. More permits are handed out at once; fewer as permits return. Who waits
    /// already keeps its place and time.
    pub fn set(&self, settings: Settings) {
        let now = Instant::now();
        self.shared.with(|state| state.set(settings, now));
    }

    /// Something admitted has had its first event after so long. Only those of the same class are
    /// compared. Does nothing unless the limit is adaptive.
    pub fn first_event(&self, class: u64, took: Duration) {
        let now = Instant::now();
        self.shared.with(|state| state.first_event(class, took, now));
    }

    /// Something admitted was refused since there is too much of it. Does nothing unless the limit
    /// is adaptive.
    pub fn refused_upstream(&self) {
        let now = Instant::now();
        self.shared.with(|state| state.refused_upstream(now));
    }

    /// Admits nothing any more, and refuses all who wait. Permits that are out stay good.
    pub fn drain(&self) {
        let now = Instant::now();
        self.shared.with(|state| state.drain(now));
    }

    /// Resolves when nothing is in flight and nobody waits.
    pub async fn idle(&self) {
        loop {
            let told = self.shared.idle.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.shared.lock().is_idle() {
                return;
            }
            told.await;
        }
    }
}

impl Share {
    /// Waits for a permit. Dropping the future leaves the queue and gives the share back.
    ///
    /// # Errors
    /// [`Rejected`]; at once if waiting is hopeless.
    pub async fn admit(self) -> Result<Permit, Rejected> {
        let (mut place, deadline) = match self.enter()? {
            Ok(permit) => return Ok(permit),
            Err(queued) => queued,
        };
        match timeout_at(deadline, &mut place).await {
            Ok(answer) => answer,
            Err(_) => place.give_up(),
        }
    }

    /// A permit, or a place in the queue and how long it is good for.
    fn enter(self) -> Result<Result<Permit, (Place, Instant)>, Rejected> {
        let (key, now) = (self.key, Instant::now());
        Ok(match self.shared().with(|state| state.enter(key, now))? {
            Entry::Admitted => Ok(Permit::new(self, now)),
            Entry::Queued { ticket, deadline } => Err((Place::new(self, ticket), deadline)),
        })
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn shared(&self) -> &Shared {
        self.shared.as_ref().expect("only a permit that is dropped takes it")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.with(|state| state.give_share_back(self.key));
        }
    }
}

impl Permit {
    fn new(share: Share, since: Instant) -> Self {
        Self { share, since }
    }

    /// Since when it is out.
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = self.share.shared.take() else { return };
        let (key, now) = (self.share.key, Instant::now());
        let held = now.saturating_duration_since(self.since);
        // The share goes first: whoever sees the free slot sees the free share, too.
        shared.with(|state| {
            state.give_share_back(key);
            state.release(key, held, now);
        });
    }
}

impl Shared {
    /// No code under this lock can panic half-way; a poisoned state is still a good one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whom it concerns once the lock is free.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let (wake, old) = (std::mem::take(&mut state.to_wake), std::mem::take(&mut state.to_drop));
        let idle = state.is_idle();
        drop(state);
        drop(old);
        wake.into_iter().for_each(std::task::Waker::wake);
        if idle {
            self.idle.notify_waiters();
        }
        changed
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;
