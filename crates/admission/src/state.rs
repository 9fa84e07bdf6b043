//! Who is in flight and who waits: the decisions, without waiting, and told what time it is.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::adaptive::Adaptive;
use crate::callers::{Caller, Callers, Rate};
use crate::pace::Pace;
use crate::queue::{Queue, Waiter};
use crate::{Reason, Rejected, Settings};

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    adaptive: Adaptive,
    capacity: usize,
    queue_timeout: Duration,
    in_flight: usize,
    callers: Callers,
    queue: Queue,
    /// For tickets that are out of the queue and have not asked since. A permit in here is counted.
    answers: BTreeMap<u64, Result<Instant, Rejected>>,
    next_ticket: u64,
    draining: bool,
    pace: Pace,
    /// To be woken, or only dropped, when the lock is free: either may run anybody's code.
    pub(crate) to_wake: Vec<Waker>,
    pub(crate) to_drop: Vec<Waker>,
}

/// How a newcomer is received.
pub(crate) enum Entry {
    /// With a permit, counted already.
    Admitted,
    /// With a place in the queue, good until the deadline.
    Queued { ticket: u64, deadline: Instant },
}

/// Where a newcomer finds room.
enum Room {
    Slot,
    Place,
    /// That of this key's newest waiter.
    PlaceOf(u64),
}

impl State {
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            adaptive: Adaptive::new(settings.adaptive, settings.max_in_flight, now),
            capacity: settings.queue,
            queue_timeout: settings.queue_timeout,
            in_flight: 0,
            callers: Callers::new(),
            queue: Queue::default(),
            answers: BTreeMap::new(),
            next_ticket: 0,
            draining: false,
            pace: Pace::new(now),
            to_wake: Vec::new(),
            to_drop: Vec::new(),
        }
    }

    /// Gives the caller a share of what it may have, unless it would be refused a permit at once.
    pub(crate) fn share(&mut self, caller: &Caller, now: Instant) -> Result<(), Rejected> {
        self.room_for(caller.key).map_err(|reason| self.rejected(reason, now))?;
        self.callers.take_share(caller, now).map_err(|over| {
            let going = caller.concurrent.unwrap_or(1);
            let retry_after = over.wait.unwrap_or_else(|| self.pace.one_of(going));
            Rejected { reason: over.reason, retry_after }
        })
    }

    /// What the caller has left of its rate, if it has one.
    pub(crate) fn rate(&self, caller: &Caller, now: Instant) -> Option<Rate> {
        self.callers.rate(caller, now)
    }

    pub(crate) fn give_share_back(&mut self, key: u64) {
        self.callers.give_share_back(key);
    }

    /// Whoever holds a share wants a permit.
    pub(crate) fn enter(&mut self, key: u64, now: Instant) -> Result<Entry, Rejected> {
        match self.room_for(key).map_err(|reason| self.rejected(reason, now))? {
            Room::Slot => {
                self.in_flight += 1;
                self.callers.admitted(key);
                return Ok(Entry::Admitted);
            }
            Room::Place => {}
            Room::PlaceOf(other) => self.evict_newest(other, now),
        }
        if self.queue.is_empty() {
            self.pace.queue_begins(now);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let in_flight = self.callers.queued(key);
        self.queue.push(key, in_flight, Waiter { ticket, since: now, waker: None });
        Ok(Entry::Queued { ticket, deadline: now + self.queue_timeout })
    }

    /// Whether this ticket has been answered: since when there is a permit, or why there is none.
    pub(crate) fn poll(
        &mut self,
        key: u64,
        ticket: u64,
        waker: &Waker,
    ) -> Poll<Result<Instant, Rejected>> {
        if let Some(answer) = self.answers.remove(&ticket) {
            return Poll::Ready(answer);
        }
        if let Some(waiter) = self.queue.find(key, ticket)
            && !waiter.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            self.to_drop.extend(waiter.waker.replace(waker.clone()));
        }
        Poll::Pending
    }

    /// The ticket's time is over. A permit that came at the last moment is still good.
    pub(crate) fn give_up(
        &mut self,
        key: u64,
        ticket: u64,
        now: Instant,
    ) -> Result<Instant, Rejected> {
        if let Some(answer) = self.answers.remove(&ticket) {
            return answer;
        }
        self.leave(key, ticket, now);
        Err(self.rejected(Reason::QueueTimeout, now))
    }

    /// Whoever holds this ticket waits no more. A permit that came meanwhile is given on.
    pub(crate) fn leave(&mut self, key: u64, ticket: u64, now: Instant) {
        match self.answers.remove(&ticket) {
            Some(Ok(_)) => self.take_back(key, now),
            Some(Err(_)) => {}
            None => {
                if let Some(waiter) = self.queue.remove(key, ticket) {
                    self.callers.left_queue(key);
                    self.to_drop.extend(waiter.waker);
                }
            }
        }
    }

    /// A permit has come back that was held for so long.
    pub(crate) fn release(&mut self, key: u64, held: Duration, now: Instant) {
        self.pace.returned(held, now);
        self.take_back(key, now);
    }

    pub(crate) fn set(&mut self, settings: Settings, now: Instant) {
        self.adaptive.set(settings.adaptive, settings.max_in_flight);
        self.capacity = settings.queue;
        self.queue_timeout = settings.queue_timeout;
        self.hand_out(now);
    }

    pub(crate) fn first_event(&mut self, class: u64, took: Duration, now: Instant) {
        self.adaptive.first_event(class, took, self.in_flight, now);
        self.hand_out(now);
    }

    pub(crate) fn refused_upstream(&mut self, now: Instant) {
        self.adaptive.refused(now);
    }

    pub(crate) fn drain(&mut self, now: Instant) {
        self.draining = true;
        let rejected = self.rejected(Reason::Draining, now);
        for waiter in self.queue.remove_all() {
            self.answer(waiter, Err(rejected));
        }
        self.callers.queue_cleared();
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn limit(&self) -> usize {
        self.adaptive.limit()
    }

    pub(crate) fn ceiling(&self) -> usize {
        self.adaptive.ceiling()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }

    fn room_for(&self, key: u64) -> Result<Room, Reason> {
        if self.draining {
            return Err(Reason::Draining);
        }
        // Nobody is overtaken: a free slot is for those who wait.
        if self.in_flight < self.limit() && self.queue.is_empty() {
            return Ok(Room::Slot);
        }
        if self.queue.len() >= self.capacity {
            return self.room_in_full_queue(key);
        }
        let ahead = self.queue.ahead_of(key, self.callers.in_flight(key));
        match self.pace.predict(ahead, self.limit()) {
            Some(wait) if wait > self.queue_timeout => Err(Reason::WaitTooLong),
            Some(_) | None => Ok(Room::Place),
        }
    }

    /// A full queue makes room for those who have less at the cost of those who have more: counted
    /// in permits and places together, and only if the newcomer does not end up with more.
    fn room_in_full_queue(&self, key: u64) -> Result<Room, Reason> {
        let claim = self.callers.in_flight(key) + self.queue.len_of(key);
        match self.queue.greediest() {
            Some((other, most)) if other != key && most > claim + 1 => Ok(Room::PlaceOf(other)),
            Some(_) | None => {
                let active = self.callers.active_with(key);
                let is_over = claim * active > self.in_flight + self.queue.len();
                Err(if is_over { Reason::OverFairShare } else { Reason::QueueFull })
            }
        }
    }

    fn evict_newest(&mut self, key: u64, now: Instant) {
        if let Some(waiter) = self.queue.remove_newest(key) {
            self.callers.left_queue(key);
            let rejected = self.rejected(Reason::OverFairShare, now);
            self.answer(waiter, Err(rejected));
        }
    }

    fn take_back(&mut self, key: u64, now: Instant) {
        self.in_flight -= 1;
        let in_flight = self.callers.released(key);
        self.queue.set_in_flight(key, in_flight);
        self.hand_out(now);
    }

    fn hand_out(&mut self, now: Instant) {
        while self.in_flight < self.limit() {
            let Some((key, waiter)) = self.queue.pop(self.queue_timeout, now) else { return };
            self.in_flight += 1;
            self.callers.left_queue(key);
            let in_flight = self.callers.admitted(key);
            self.queue.set_in_flight(key, in_flight);
            self.answer(waiter, Ok(now));
        }
    }

    fn answer(&mut self, waiter: Waiter, answer: Result<Instant, Rejected>) {
        self.answers.insert(waiter.ticket, answer);
        self.to_wake.extend(waiter.waker);
    }

    fn rejected(&mut self, reason: Reason, now: Instant) -> Rejected {
        let (ahead, limit) = (self.queue.len(), self.limit());
        Rejected { reason, retry_after: self.pace.retry_after(ahead, limit, now) }
    }
}
