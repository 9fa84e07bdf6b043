//! Who is in flight and who waits: the decisions, without waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::drain_rate::DrainRate;
use crate::{Permit, Reason, Rejected, Settings, Shared};

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    limit: usize,
    in_flight: usize,
    capacity: usize,
    queue_timeout: Duration,
    /// By ticket, which only grows.
    queue: VecDeque<Waiter>,
    next_ticket: u64,
    draining: bool,
    rate: DrainRate,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    answer: oneshot::Sender<Result<Permit, Rejected>>,
}

/// How a newcomer is received.
pub(crate) enum Entry {
    /// With a permit, counted already.
    Admitted,
    /// With a place in the queue.
    Queued { ticket: u64, answer: oneshot::Receiver<Result<Permit, Rejected>> },
}

impl State {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            limit: settings.max_in_flight,
            in_flight: 0,
            capacity: settings.queue,
            queue_timeout: settings.queue_timeout,
            queue: VecDeque::new(),
            next_ticket: 0,
            draining: false,
            rate: DrainRate::new(now),
        }
    }

    pub(crate) fn check(&self, now: Instant) -> Result<(), Rejected> {
        if self.draining {
            return Err(self.rejected(Reason::Draining, now));
        }
        if !self.has_room() && self.queue.len() >= self.capacity {
            return Err(self.rejected(Reason::QueueFull, now));
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self, now: Instant) -> Result<Entry, Rejected> {
        self.check(now)?;
        if self.has_room() {
            self.in_flight += 1;
            return Ok(Entry::Admitted);
        }
        let (sender, answer) = oneshot::channel();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(Waiter { ticket, answer: sender });
        Ok(Entry::Queued { ticket, answer })
    }

    /// A permit has come back.
    pub(crate) fn release(&mut self, now: Instant, shared: &Arc<Shared>) {
        self.rate.released(now);
        self.in_flight -= 1;
        self.hand_out(shared);
    }

    /// Whoever holds this ticket waits no more. False if they did not.
    pub(crate) fn leave(&mut self, ticket: u64) -> bool {
        match self.queue.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            Ok(at) => self.queue.remove(at).is_some(),
            Err(_) => false,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: usize, shared: &Arc<Shared>) {
        self.limit = limit;
        self.hand_out(shared);
    }

    pub(crate) fn set_queue(&mut self, capacity: usize, timeout: Duration) {
        self.capacity = capacity;
        self.queue_timeout = timeout;
    }

    pub(crate) fn queue_timeout(&self) -> Duration {
        self.queue_timeout
    }

    pub(crate) fn drain(&mut self, now: Instant) {
        self.draining = true;
        let rejected = self.rejected(Reason::Draining, now);
        for waiter in self.queue.drain(..) {
            // One who has gone meanwhile needs no answer.
            let _ = waiter.answer.send(Err(rejected));
        }
    }

    pub(crate) fn rejected(&self, reason: Reason, now: Instant) -> Rejected {
        Rejected { reason, retry_after: self.rate.wait_behind(self.queue.len(), now) }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }

    /// Nobody is overtaken: a free slot is for those who wait.
    fn has_room(&self) -> bool {
        self.in_flight < self.limit && self.queue.is_empty()
    }

    fn hand_out(&mut self, shared: &Arc<Shared>) {
        while self.in_flight < self.limit {
            let Some(waiter) = self.queue.pop_front() else { return };
            self.in_flight += 1;
            let permit = Permit { shared: Some(shared.clone()) };
            if let Err(Ok(mut permit)) = waiter.answer.send(Ok(permit)) {
                // The waiter has gone. Its permit must not be dropped under the lock.
                self.in_flight -= 1;
                permit.shared = None;
            }
        }
    }
}
