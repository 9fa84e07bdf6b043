//! The requests that run, by size, so that the largest can be ended when memory is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All requests that hold a slot.
#[derive(Debug, Default)]
pub(crate) struct Running {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    requests: BTreeMap<u64, Arc<Entry>>,
}

/// One of them. Dropping it takes it off the list.
#[derive(Debug)]
pub(crate) struct Enlisted {
    running: Arc<Running>,
    number: u64,
    entry: Arc<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    bytes: AtomicU64,
    must_end: AtomicBool,
    told: Notify,
}

impl Running {
    /// Puts a request on the list, with the size of its body.
    pub(crate) fn enlist(self: &Arc<Self>, bytes: u64) -> Enlisted {
        let entry = Arc::new(Entry { bytes: AtomicU64::new(bytes), ..Entry::default() });
        let mut list = self.list();
        let number = list.next;
        list.next += 1;
        list.requests.insert(number, entry.clone());
        drop(list);
        Enlisted { running: self.clone(), number, entry }
    }

    /// Tells the largest of those that have not been told yet to end: a tenth, and at least one.
    /// Of the same size, the youngest: less is lost. Answers how many.
    pub(crate) fn end_largest(&self) -> usize {
        let list = self.list();
        let running = list.requests.iter().filter(|(_, entry)| !entry.must_end.load(Relaxed));
        let mut by_size: Vec<_> =
            running.map(|(number, entry)| (entry.bytes.load(Relaxed), *number, entry)).collect();
        by_size.sort_unstable_by_key(|(bytes, number, _)| (*bytes, *number));
        let count = by_size.len().div_ceil(10);
        for (_, _, entry) in by_size.iter().rev().take(count) {
            entry.must_end.store(true, Relaxed);
            // One may wait, or come to wait later.
            entry.told.notify_one();
        }
        count
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Enlisted {
    /// So many more bytes have gone through it.
    pub(crate) fn grows(&self, bytes: u64) {
        self.entry.bytes.fetch_add(bytes, Relaxed);
    }

    /// Whether it has been told to end.
    pub(crate) fn must_end(&self) -> bool {
        self.entry.must_end.load(Relaxed)
    }

    /// Resolves when it is told to end. For one at a time.
    pub(crate) fn told(&self) -> impl Future<Output = ()> + Send + use<> {
        let entry = self.entry.clone();
        async move { entry.told.notified().await }
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.running.list().requests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_go_first_and_the_youngest_of_equals() {
        let running = Arc::new(Running::default());
        let requests: Vec<Enlisted> = [5, 9, 9, 1].map(|bytes| running.enlist(bytes)).into();
        let ending = || requests.iter().map(Enlisted::must_end).collect::<Vec<_>>();
        assert_eq!(running.end_largest(), 1);
        assert_eq!(ending(), [false, false, true, false]);
        requests[0].grows(100);
        assert_eq!(running.end_largest(), 1);
        assert_eq!(ending(), [true, false, true, false]);
        drop(requests);
        assert_eq!(running.end_largest(), 0, "nobody is on the list any more");
    }

    #[test]
    fn of_many_a_tenth_is_told() {
        let running = Arc::new(Running::default());
        let _requests: Vec<Enlisted> = (0..95).map(|bytes| running.enlist(bytes)).collect();
        assert_eq!(running.end_largest(), 10);
        assert_eq!(running.end_largest(), 9, "of those that are left");
    }
}
