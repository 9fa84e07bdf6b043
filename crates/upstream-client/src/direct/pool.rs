//! Connections without an answer, kept for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::link::Link;
use crate::http::{POOL_IDLE, POOL_SIZE};

/// All idle connections to one upstream.
#[derive(Default)]
pub(super) struct Pool {
    /// A connection goes on only in the runtime that drives its socket.
    shelves: Mutex<HashMap<Id, Shelf>>,
}

/// The idle connections of one runtime.
struct Shelf {
    /// The youngest last.
    idle: Vec<Idle>,
    keeper: Arc<Keeper>,
}

struct Idle {
    link: Link,
    end: Instant,
}

impl Pool {
    /// The connection that was used last: the others fall idle, and go.
    pub(super) fn take(&self) -> Option<Link> {
        let runtime = Handle::try_current().ok()?.id();
        loop {
            let mut idle = self.lock().get_mut(&runtime)?.idle.pop()?;
            if idle.link.is_idle(Waker::noop()) {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a connection, if it can be used again and there are not too many.
    pub(super) fn put(self: &Arc<Self>, mut link: Link) {
        let (home, end) = (link.home().clone(), Instant::now() + POOL_IDLE);
        let mut shelves = self.lock();
        if shelves.values().map(|shelf| shelf.idle.len()).sum::<usize>() >= POOL_SIZE {
            return;
        }
        let mut new = None;
        let shelf = shelves.entry(home.id()).or_insert_with(|| {
            let keeper = Arc::new(Keeper::default());
            new =
                Some(Kept { pool: Arc::downgrade(self), home: home.id(), keeper: keeper.clone() });
            Shelf { idle: Vec::new(), keeper }
        });
        if link.is_idle(&Waker::from(shelf.keeper.clone())) {
            shelf.idle.push(Idle { link, end });
        }
        drop(shelves);
        if let Some(kept) = new {
            home.spawn(kept.keep(end));
        }
    }

    /// Closes all of them. Their keepers see it at their next look.
    pub(super) fn clear(&self) {
        let mut shelves = self.lock();
        let idle: Vec<Idle> =
            shelves.values_mut().flat_map(|shelf| std::mem::take(&mut shelf.idle)).collect();
        drop(shelves);
        idle.into_iter().for_each(|idle| idle.link.close());
    }

    /// Drops connections that the upstream has closed, and closes those that nobody needs. When to
    /// look again; None if none is left.
    fn tidy(&self, runtime: Id) -> Option<Instant> {
        let mut shelves = self.lock();
        let Shelf { idle, keeper } = shelves.get_mut(&runtime)?;
        let (now, waker) = (Instant::now(), Waker::from(keeper.clone()));
        idle.retain_mut(|idle| idle.link.is_idle(&waker));
        let old = idle.partition_point(|idle| idle.end <= now);
        let old: Vec<Idle> = idle.drain(..old).collect();
        let next = idle.first().map(|oldest| oldest.end);
        if next.is_none() {
            shelves.remove(&runtime);
        }
        drop(shelves);
        old.into_iter().for_each(|idle| idle.link.close());
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the task that sees to a shelf.
#[derive(Default)]
struct Keeper(Notify);

impl Wake for Keeper {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// A shelf that is seen to: when a connection there has closed, and when the oldest has been idle
/// for long enough. Dropping it removes the shelf, since then its runtime is gone.
struct Kept {
    pool: Weak<Pool>,
    home: Id,
    keeper: Arc<Keeper>,
}

impl Kept {
    /// Goes on for as long as there is something on the shelf. A task, since nobody polls what is
    /// idle.
    async fn keep(self, mut next: Instant) {
        loop {
            let _either = timeout_at(next, self.keeper.0.notified()).await;
            let Some(pool) = self.pool.upgrade() else { return };
            let Some(oldest) = pool.tidy(self.home) else { return };
            next = oldest;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut shelves = pool.lock();
        // Another may have come in its place.
        let is_it = |shelf: &Shelf| Arc::ptr_eq(&shelf.keeper, &self.keeper);
        let mine = shelves.get(&self.home).is_some_and(is_it);
        let shelf = if mine { shelves.remove(&self.home) } else { None };
        drop(shelves);
        drop(shelf);
    }
}
