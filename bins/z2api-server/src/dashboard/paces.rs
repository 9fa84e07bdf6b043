//! How fast the last answers came, for a page that opens later: more of them than there are whole
//! records of requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use z2api_observability::Recent;

/// How many are kept: as many as the page can show.
const KEPT: usize = 2000;

/// The paces. Bounded: the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the last request that was looked at.
    seen: u64,
    last: VecDeque<Pace>,
}

/// Of one request, in the order in which the page reads it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pace(
    /// The request's number.
    u64,
    /// When it ended.
    String,
    /// Milliseconds until the model's first token.
    Option<u64>,
    /// Tokens for each second that the model wrote.
    Option<f64>,
);

impl Paces {
    /// Takes those that ended since it was asked last, as far as they are remembered.
    pub(super) fn take(&self, recent: &Recent) {
        let mut kept = self.lock();
        for ended in recent.since(kept.seen) {
            kept.seen = ended.number;
            if ended.time_to_first_token_ms.is_none() && ended.tokens_per_second.is_none() {
                continue;
            }
            if kept.last.len() == KEPT {
                kept.last.pop_front();
            }
            let (first, speed) = (ended.time_to_first_token_ms, ended.tokens_per_second);
            kept.last.push_back(Pace(ended.number, ended.timestamp, first, speed));
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<Pace> {
        self.lock().last.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
