//! Connections without an answer, kept for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::link::Link;
use crate::http::POOL_SIZE;

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
    /// When the keeper looks next, if nothing happens before.
    next_look: Instant,
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

    /// Keeps a connection for so long, if it can be used again. Where there are too many, the oldest
    /// goes.
    pub(super) fn put(self: &Arc<Self>, mut link: Link, idle: Duration) {
        if idle.is_zero() {
            return;
        }
        let (home, end) = (link.home().clone(), Instant::now() + idle);
        let (mut new, mut shelves) = (None, self.lock());
        let shelf = shelves.entry(home.id()).or_insert_with(|| {
            let keeper = Arc::new(Keeper::default());
            new =
                Some(Kept { pool: Arc::downgrade(self), home: home.id(), keeper: keeper.clone() });
            Shelf { idle: Vec::new(), keeper, next_look: end }
        });
        if link.is_idle(&Waker::from(shelf.keeper.clone())) {
            shelf.idle.push(Idle { link, end });
        }
        let oldest = (shelf.idle.len() > POOL_SIZE).then(|| shelf.idle.remove(0));
        if end < shelf.next_look {
            shelf.keeper.0.notify_one();
        }
        drop(shelves);
        oldest.into_iter().for_each(|oldest| oldest.link.close());
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
        let Shelf { idle, keeper, next_look } = shelves.get_mut(&runtime)?;
        let (now, waker) = (Instant::now(), Waker::from(keeper.clone()));
        idle.retain_mut(|idle| idle.link.is_idle(&waker));
        let old: Vec<Idle> = idle.extract_if(.., |idle| idle.end <= now).collect();
        let next = idle.iter().map(|idle| idle.end).min();
        match next {
            Some(next) => *next_look = next,
            None => drop(shelves.remove(&runtime)),
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

/// A shelf that is seen to: when a connection there has closed, and when one has been idle for long
/// enough. Dropping it removes the shelf, since then its runtime is gone.
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
            let Some(look) = pool.tidy(self.home) else { return };
            next = look;
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::link::tests::link;
    use super::*;
    use crate::http::POOL_IDLE;

    /// Whether one that is kept for so long can be used again at once.
    async fn keeps_for(idle: Duration) -> bool {
        let pool = Arc::new(Pool::default());
        let (link, _peer) = link().await;
        pool.put(link, idle);
        pool.take().is_some()
    }

    #[tokio::test]
    async fn what_may_not_be_idle_is_not_kept() {
        assert!(keeps_for(Duration::from_secs(1)).await);
        assert!(!keeps_for(Duration::ZERO).await);
    }

    #[tokio::test]
    async fn each_goes_at_its_own_time_whichever_came_first() {
        let pool = Arc::new(Pool::default());
        let ((long, _peer), (short, mut ends)) = (link().await, link().await);
        tokio::time::pause();
        let begin = Instant::now();
        pool.put(long, POOL_IDLE);
        pool.put(short, Duration::from_secs(4));
        assert_eq!(ends.read(&mut [0]).await.unwrap(), 0);
        let seconds = begin.elapsed().as_secs_f64();
        assert!((3.9..6.0).contains(&seconds), "{seconds}");
        assert!(pool.take().is_some() && pool.take().is_none());
    }

    #[tokio::test]
    async fn a_new_one_takes_the_place_of_the_oldest() {
        let (pool, mut peers) = (Arc::new(Pool::default()), Vec::new());
        for _ in 0..=POOL_SIZE {
            let (link, peer) = link().await;
            pool.put(link, POOL_IDLE);
            peers.push(peer);
        }
        assert_eq!(peers[0].read(&mut [0]).await.unwrap(), 0);
        let kept = std::iter::from_fn(|| pool.take()).count();
        assert_eq!(kept, POOL_SIZE);
    }
}
