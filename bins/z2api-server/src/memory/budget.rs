//! Memory for request bodies, set aside before they are read.
//!
//! What is read and understood is several times as large as the body: the bytes, the request's
//! parts, the upstream's request. All bodies together may take up a part of the limit only, so that
//! large requests that come together are refused rather than the process killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Set aside for any request, in bytes.
const BASE: u64 = 64 * 1024;
/// Set aside for each byte of a body. Measured: `benches/README.md`.
const FACTOR: u64 = 9;
/// A body of unknown length gets room in steps, in bytes of the body.
const STEP: u64 = 64 * 1024;

/// What is set aside in all.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
}

/// Room for one body. Dropping it gives the room back.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    /// Bytes of the body there is room for.
    body: u64,
    bytes: u64,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Others have it now.
    Now,
    /// There is not so much in all; holds the largest body there is room for, in bytes.
    Ever(u64),
}

impl Budget {
    /// Of so much memory, three fifths are for bodies.
    pub(crate) fn set_memory(&self, bytes: u64) {
        self.limit.store(bytes / 5 * 3, Relaxed);
    }

    /// Bytes set aside.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Room for a body of so many bytes.
    pub(crate) fn lease(self: &Arc<Self>, body: u64) -> Result<Lease, NoRoom> {
        let bytes = size(body);
        self.take(bytes, body)?;
        Ok(Lease { budget: self.clone(), body, bytes })
    }

    fn take(&self, bytes: u64, body: u64) -> Result<(), NoRoom> {
        let limit = self.limit.load(Relaxed);
        if size(body) > limit {
            return Err(NoRoom::Ever(limit.saturating_sub(BASE) / FACTOR));
        }
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Relaxed, Relaxed, more).map(|_| ()).map_err(|_| NoRoom::Now)
    }
}

impl Lease {
    /// Sees to it that there is room for so many bytes of the body.
    pub(crate) fn cover(&mut self, body: u64) -> Result<(), NoRoom> {
        if body <= self.body {
            return Ok(());
        }
        let body = body.next_multiple_of(STEP);
        let more = size(body) - self.bytes;
        self.budget.take(more, body)?;
        self.body = body;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

fn size(body: u64) -> u64 {
    body.saturating_mul(FACTOR).saturating_add(BASE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn budget(mib: u64) -> Arc<Budget> {
        let budget = Arc::new(Budget::default());
        budget.set_memory(mib * MIB);
        budget
    }

    #[test]
    fn what_fits_once_may_not_fit_twice() {
        let budget = budget(100);
        let first = budget.lease(6 * MIB).unwrap();
        assert_eq!(budget.used(), 54 * MIB + BASE);
        assert_eq!(budget.lease(6 * MIB).unwrap_err(), NoRoom::Now);
        drop(first);
        assert!(budget.lease(6 * MIB).is_ok());
        let NoRoom::Ever(largest) = budget.lease(20 * MIB).unwrap_err() else { panic!("never") };
        assert!(budget.lease(largest).is_ok());
        assert!(matches!(budget.lease(largest + 1), Err(NoRoom::Ever(_))));
    }

    #[test]
    fn a_body_of_unknown_length_gets_room_as_it_comes() {
        let budget = budget(100);
        let mut lease = budget.lease(0).unwrap();
        assert_eq!(budget.used(), BASE);
        lease.cover(1).unwrap();
        assert_eq!(budget.used(), BASE + STEP * FACTOR);
        lease.cover(STEP).unwrap();
        assert_eq!(budget.used(), BASE + STEP * FACTOR);
        let _other = budget.lease(6 * MIB).unwrap();
        assert_eq!(lease.cover(2 * MIB), Err(NoRoom::Now));
        assert!(matches!(lease.cover(50 * MIB), Err(NoRoom::Ever(_))));
        assert_eq!(lease.cover(STEP), Ok(()), "what it had it keeps");
    }

    proptest! {
        #[test]
        fn all_leases_together_fit_and_all_is_given_back(
            steps in prop::collection::vec((0u64..40 * MIB, any::<bool>(), 0u64..40 * MIB), 0..60)
        ) {
            let budget = budget(200);
            let mut leases: Vec<Lease> = Vec::new();
            for (body, drops, more) in steps {
                if drops && !leases.is_empty() {
                    drop(leases.swap_remove(body as usize % leases.len()));
                }
                if let Ok(mut lease) = budget.lease(body) {
                    let _ = lease.cover(more);
                    leases.push(lease);
                }
                prop_assert_eq!(budget.used(), leases.iter().map(|lease| lease.bytes).sum::<u64>());
                prop_assert!(budget.used() <= 120 * MIB);
            }
            drop(leases);
            prop_assert_eq!(budget.used(), 0);
        }
    }
}
