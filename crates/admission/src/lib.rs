//! A limit, a bounded queue, a permit. Never learns what a request is.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use z2api_admission::{Admission, Settings};
//!
//! let mut settings = Settings::default();
//! settings.max_in_flight = 1;
//! settings.queue = 0;
//! let admission = Admission::new(settings);
//! let permit = admission.admit().await.unwrap();
//! assert!(admission.admit().await.is_err(), "one slot, no queue");
//! drop(permit);
//! assert!(admission.admit().await.is_ok());
//! # }
//! ```

mod drain_rate;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use state::{Entry, State};

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
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_in_flight: 1000, queue: 500, queue_timeout: Duration::from_secs(10) }
    }
}

/// Hands out permits, first come, first served. Cheap to clone; clones share the permits.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when nothing is in flight and nobody waits.
    idle: Notify,
}

/// The right to be in flight. Dropping it gives the slot to whoever has waited longest.
#[derive(Debug)]
#[must_use = "a dropped permit gives its slot away"]
pub struct Permit {
    /// None once it has been forgotten.
    shared: Option<Arc<Shared>>,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// When to come back, in whole seconds from 1 to 60, estimated from how fast permits return.
    pub retry_after: Duration,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No permit is free and the queue is full.
    #[error("no permit is free and the queue is full")]
    QueueFull,
    /// No permit came free in time.
    #[error("no permit came free in time")]
    QueueTimeout,
    /// Nothing is admitted any more.
    #[error("nothing is admitted any more")]
    Draining,
}

impl Admission {
    /// An admission with all its permits free.
    pub fn new(settings: Settings) -> Self {
        let state = State::new(settings, Instant::now());
        let shared = Shared { state: Mutex::new(state), idle: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Tells whether [`Admission::admit`] would refuse at once.
    ///
    /// # Errors
    /// [`Reason::Draining`], or [`Reason::QueueFull`].
    pub fn check(&self) -> Result<(), Rejected> {
        self.shared.lock().check(Instant::now())
    }

    /// Waits for a permit, behind all who wait already. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Rejected`]; at once if the queue is full.
    pub async fn admit(&self) -> Result<Permit, Rejected> {
        let (mut place, deadline) = {
            let mut state = self.shared.lock();
            match state.enter(Instant::now())? {
                Entry::Admitted => return Ok(Permit { shared: Some(self.shared.clone()) }),
                Entry::Queued { ticket, answer } => {
                    let place = Place { shared: &self.shared, ticket, answer };
                    (place, Instant::now() + state.queue_timeout())
                }
            }
        };
        let answered = match timeout_at(deadline, &mut place.answer).await {
            Ok(answered) => answered.ok(),
            Err(_) => {
                // A permit may have come at the last moment.
                place.answer.close();
                place.answer.try_recv().ok()
            }
        };
        answered.unwrap_or_else(|| {
            Err(self.shared.lock().rejected(Reason::QueueTimeout, Instant::now()))
        })
    }

    /// How many permits are out.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight()
    }

    /// How many wait.
    pub fn queued(&self) -> usize {
        self.shared.lock().queued()
    }

    /// How many permits there are.
    pub fn limit(&self) -> usize {
        self.shared.lock().limit()
    }

    /// Changes how many permits there are. More are handed out at once; fewer as permits return.
    pub fn set_limit(&self, limit: usize) {
        self.shared.lock().set_limit(limit, &self.shared);
    }

    /// Changes how many may wait, and for how long. Who waits already keeps its place and time.
    pub fn set_queue(&self, queue: usize, queue_timeout: Duration) {
        self.shared.lock().set_queue(queue, queue_timeout);
    }

    /// Admits nothing any more, and refuses all who wait. Permits that are out stay good.
    pub fn drain(&self) {
        let idle = {
            let mut state = self.shared.lock();
            state.drain(Instant::now());
            state.is_idle()
        };
        if idle {
            self.shared.idle.notify_waiters();
        }
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

impl Shared {
    /// No code under this lock can panic half-way; a poisoned state is still a good one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let idle = {
            let mut state = shared.lock();
            state.release(Instant::now(), &shared);
            state.is_idle()
        };
        if idle {
            shared.idle.notify_waiters();
        }
    }
}

/// A place in the queue. Dropping it leaves the queue; a permit that was handed to it meanwhile
/// is dropped with `answer`, which gives it on.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    ticket: u64,
    answer: oneshot::Receiver<Result<Permit, Rejected>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let idle = {
            let mut state = self.shared.lock();
            state.leave(self.ticket) && state.is_idle()
        };
        if idle {
            self.shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
