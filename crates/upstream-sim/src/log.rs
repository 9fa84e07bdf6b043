//! The log: what was asked so far, how it ended, and who waits to learn of it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{
    record::{Outcome, Recorded},
    request::Request,
    route::Kind,
};

/// So many requests are remembered at most.
const MAX_REQUESTS: usize = 100_000;
/// Their bodies together are at most so long, the newest one apart.
const MAX_BODY_BYTES: usize = 256 << 20;

/// Everything asked of one simulator.
#[derive(Debug)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    /// How many entries were dropped from the front.
    dropped: usize,
    body_bytes: usize,
    connections: usize,
    open_streams: usize,
    chats: usize,
    guests: usize,
    others: usize,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    request: Arc<Recorded>,
    outcome: Outcome,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// What was asked, oldest first, of the kinds wanted.
    pub(crate) fn requests(&self, wanted: impl Fn(Kind) -> bool) -> Vec<Recorded> {
        let inner = self.lock();
        let wanted = inner.entries.iter().filter(|entry| wanted(entry.kind));
        wanted
            .map(|entry| Recorded { outcome: entry.outcome, ..(*entry.request).clone() })
            .collect()
    }

    /// How the answer to a chat request has ended so far; most often it is a late one.
    pub(crate) fn outcome(&self, chat: usize) -> Option<Outcome> {
        let inner = self.lock();
        let is_it =
            |entry: &&Entry| matches!(entry.kind, Kind::Chat(_)) && entry.request.number == chat;
        inner.entries.iter().rev().find(is_it).map(|entry| entry.outcome)
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    pub(crate) fn chats(&self) -> usize {
        self.lock().chats
    }

    pub(crate) fn guests(&self) -> usize {
        self.lock().guests
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.lock().open_streams
    }

    /// Hears of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn connected(&self) {
        self.lock().connections += 1;
        self.changed.send_replace(());
    }

    /// Writes a request down; its answer is running from now on.
    pub(crate) fn arrived(self: &Arc<Self>, kind: Kind, request: Request) -> Answering {
        let mut inner = self.lock();
        let request = Arc::new(request.recorded(inner.count(kind)));
        let place = inner.push(Entry { kind, request: request.clone(), outcome: Outcome::Running });
        drop(inner);
        self.changed.send_replace(());
        Answering { log: Arc::clone(self), kind, place, request, open: true }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Counts a request of this kind; gives the number it bears.
    fn count(&mut self, kind: Kind) -> usize {
        let counter = match kind {
            Kind::Chat(_) => {
                self.open_streams += 1;
                &mut self.chats
            }
            Kind::Guest => &mut self.guests,
            Kind::File | Kind::Asked | Kind::WrongMethod | Kind::Unknown => &mut self.others,
        };
        *counter += 1;
        *counter - 1
    }

    fn push(&mut self, entry: Entry) -> usize {
        self.body_bytes += entry.request.body.len();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_REQUESTS
            || (self.body_bytes > MAX_BODY_BYTES && self.entries.len() > 1)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.body_bytes -= oldest.request.body.len();
                self.dropped += 1;
            }
        }
        self.dropped + self.entries.len() - 1
    }
}

/// An answer on its way. Dropped before its end was told, it counts as closed by the peer.
#[derive(Debug)]
pub(crate) struct Answering {
    log: Arc<Log>,
    kind: Kind,
    place: usize,
    request: Arc<Recorded>,
    open: bool,
}

impl Answering {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn request(&self) -> &Recorded {
        &self.request
    }

    /// Tells how the answer ended.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.end_if(|| Some(outcome));
    }

    /// Tells how the answer ended, if it did with `last_act`. Nobody can read the log meanwhile: a
    /// client that has seen the end of its answer finds it in the log as ended.
    pub(crate) fn end_if(&mut self, last_act: impl FnOnce() -> Option<Outcome>) {
        let mut inner = self.log.lock();
        let Some(outcome) = last_act() else { return };
        let entry = self.place.checked_sub(inner.dropped).and_then(|at| inner.entries.get_mut(at));
        if let Some(entry) = entry {
            entry.outcome = outcome;
        }
        if std::mem::take(&mut self.open) && matches!(self.kind, Kind::Chat(_)) {
            inner.open_streams -= 1;
        }
        drop(inner);
        self.log.changed.send_replace(());
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.open {
            self.end(Outcome::PeerClosed);
        }
    }
}
