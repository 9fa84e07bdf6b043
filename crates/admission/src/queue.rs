//! Who waits, and who is next: fair between keys, in order within a key.
//!
//! Next is the key with the fewest permits out, and of those whoever's turn it is. With equal
//! holding times that is round robin; with unequal ones it also evens out the permits, so that a
//! key with long requests does not end up with most of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::overload::Overload;

/// Somebody who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Its name; only grows.
    pub(crate) ticket: u64,
    pub(crate) since: Instant,
    /// None until it has been polled.
    pub(crate) waker: Option<Waker>,
}

/// All who wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lines: BTreeMap<u64, Line>,
    /// Permits out, turn and key of each line: the first is the next.
    turns: BTreeSet<(usize, u64, u64)>,
    next_turn: u64,
    len: usize,
}

/// Those of one key. Never empty.
#[derive(Debug)]
struct Line {
    /// By ticket.
    waiters: VecDeque<Waiter>,
    in_flight: usize,
    turn: u64,
    overload: Overload,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of this key wait.
    pub(crate) fn len_of(&self, key: u64) -> usize {
        self.lines.get(&key).map_or(0, |line| line.waiters.len())
    }

    /// Puts a newcomer behind all others of its key, which has so many permits out.
    pub(crate) fn push(&mut self, key: u64, in_flight: usize, waiter: Waiter) {
        let turn = self.next_turn;
        let line = self.lines.entry(key).or_insert_with(|| {
            self.next_turn += 1;
            self.turns.insert((in_flight, turn, key));
            Line { waiters: VecDeque::new(), in_flight, turn, overload: Overload::default() }
        });
        line.waiters.push_back(waiter);
        self.len += 1;
    }

    /// Takes out whoever is next. Nobody may wait for longer than `longest`.
    pub(crate) fn pop(&mut self, longest: Duration, now: Instant) -> Option<(u64, Waiter)> {
        let &(_, _, key) = self.turns.first()?;
        let line = self.lines.get_mut(&key)?;
        let waiter = line.take_next(longest, now)?;
        self.turns.remove(&(line.in_flight, line.turn, key));
        line.turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert((line.in_flight, line.turn, key));
        self.taken(key);
        Some((key, waiter))
    }

    /// Takes out whoever holds this ticket, or nobody.
    pub(crate) fn remove(&mut self, key: u64, ticket: u64) -> Option<Waiter> {
        let line = self.lines.get_mut(&key)?;
        let waiter = line.waiters.remove(line.find(ticket)?)?;
        self.taken(key);
        Some(waiter)
    }

    /// Takes out the newest of this key.
    pub(crate) fn remove_newest(&mut self, key: u64) -> Option<Waiter> {
        let waiter = self.lines.get_mut(&key)?.waiters.pop_back()?;
        self.taken(key);
        Some(waiter)
    }

    /// Takes out everybody.
    pub(crate) fn remove_all(&mut self) -> Vec<Waiter> {
        self.turns.clear();
        self.len = 0;
        let lines = std::mem::take(&mut self.lines);
        lines.into_values().flat_map(|line| line.waiters).collect()
    }

    pub(crate) fn find(&mut self, key: u64, ticket: u64) -> Option<&mut Waiter> {
        let line = self.lines.get_mut(&key)?;
        let at = line.find(ticket)?;
        line.waiters.get_mut(at)
    }

    /// The number of a key's permits has changed.
    pub(crate) fn set_in_flight(&mut self, key: u64, in_flight: usize) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        self.turns.remove(&(line.in_flight, line.turn, key));
        line.in_flight = in_flight;
        self.turns.insert((line.in_flight, line.turn, key));
    }

    /// The key that has and wants most, of those with somebody waiting, and how much that is.
    pub(crate) fn greediest(&self) -> Option<(u64, usize)> {
        let claims = self.lines.iter().map(|(key, line)| (*key, line.claim()));
        claims.max_by_key(|(_, claim)| *claim)
    }

    /// How many would be served before a newcomer of this key, which has so many permits out.
    pub(crate) fn ahead_of(&self, key: u64, in_flight: usize) -> usize {
        let own = self.lines.get(&key);
        let before = own.filter(|line| !line.overload.newest_first());
        let before = before.map_or(0, |line| line.waiters.len());
        // Others come first for as long as they would have no more permits out than this key.
        let until = in_flight + before + 1;
        let others = self.lines.iter().filter(|(other, _)| **other != key);
        let others =
            others.map(|(_, line)| line.waiters.len().min(until.saturating_sub(line.in_flight)));
        before + others.sum::<usize>()
    }

    /// One of this key has been taken out.
    fn taken(&mut self, key: u64) {
        self.len -= 1;
        if let Some(line) = self.lines.get(&key)
            && line.waiters.is_empty()
        {
            self.turns.remove(&(line.in_flight, line.turn, key));
            self.lines.remove(&key);
        }
    }
}

impl Line {
    fn claim(&self) -> usize {
        self.in_flight + self.waiters.len()
    }

    fn find(&self, ticket: u64) -> Option<usize> {
        self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }

    fn take_next(&mut self, longest: Duration, now: Instant) -> Option<Waiter> {
        let waiter = if self.overload.newest_first() {
            self.waiters.pop_back()?
        } else {
            self.waiters.pop_front()?
        };
        let age = |waiter: &Waiter| now.saturating_duration_since(waiter.since);
        let oldest = self.waiters.front().map(age);
        self.overload.served(age(&waiter), oldest, longest, now);
        Some(waiter)
    }
}
