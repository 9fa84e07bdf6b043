//! The retry budget: retries are a small share of the traffic, so that an outage is not multiplied.

use std::sync::{Mutex, PoisonError};

/// How many retries there may be, over all chats of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// How many retries each hundred chats earn. Default: 10. From 100 on, retries are unlimited.
    pub percent: u32,
    /// How many retries there are before any is earned, so that a quiet client can try again at
    /// all. Default: 10.
    pub reserve: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 10, reserve: 10 }
    }
}

/// The most that is saved up, in retries, above the reserve.
const MAX_SAVED: u64 = 100;
/// A retry, in the small change that chats pay in.
const RETRY: u64 = 100;

/// What is left.
pub(crate) struct Budget {
    policy: RetryBudget,
    /// In hundredths of a retry.
    left: Mutex<u64>,
}

impl Budget {
    pub(crate) fn new(policy: RetryBudget) -> Self {
        let left = Mutex::new(u64::from(policy.reserve) * RETRY);
        Self { policy, left }
    }

    /// A chat begins, and earns its share of a retry.
    pub(crate) fn earn(&self) {
        let most = (u64::from(self.policy.reserve) + MAX_SAVED) * RETRY;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + u64::from(self.policy.percent)).min(most);
    }

    /// Spends a retry; false if there is none left.
    pub(crate) fn spend(&self) -> bool {
        if self.policy.percent >= 100 {
            return true;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *left >= RETRY;
        if enough {
            *left -= RETRY;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(percent: u32, reserve: u32) -> Budget {
        Budget::new(RetryBudget { percent, reserve })
    }

    #[test]
    fn the_reserve_is_there_at_once_and_ten_chats_earn_a_retry() {
        let budget = budget(10, 2);
        assert!(budget.spend() && budget.spend() && !budget.spend());
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
    }

    #[test]
    fn what_is_saved_has_a_bound_and_a_full_share_has_none() {
        let saving = budget(10, 0);
        (0..1_000_000).for_each(|_| saving.earn());
        assert_eq!((0..1000).filter(|_| saving.spend()).count() as u64, MAX_SAVED);
        assert!((0..1000).all(|_| budget(100, 0).spend()));
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_reserve_and_the_share(
            percent in 0_u32..100,
            reserve in 0_u32..50,
            steps in prop::collection::vec(any::<bool>(), 0..500),
        ) {
            let budget = budget(percent, reserve);
            let (mut chats, mut retries) = (0, 0);
            for earns in steps {
                if earns { budget.earn(); chats += 1 } else { retries += u32::from(budget.spend()) }
                prop_assert!(retries * 100 <= reserve * 100 + chats * percent);
            }
        }
    }
}
