//! The last requests, and totals that only grow: what a live page shows.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::metrics::Owner;

/// How many requests are remembered.
const REMEMBERED: usize = 100;

/// A chat request that has ended. It holds no word of a message or an answer, and no key.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Finished {
    /// Counted from 1 since the start.
    pub number: u64,
    /// The request's id: `[A-Za-z0-9._-]{1,64}`.
    pub request_id: String,
    /// When it ended, as RFC 3339.
    pub timestamp: String,
    /// Which route it took, from a fixed list.
    pub route: &'static str,
    /// The model's name in the table; None if it asked for none of them.
    pub model: Option<String>,
    /// What was answered; 499 if the client hung up.
    pub status: u16,
    /// Who could have prevented its failure.
    pub owner: Owner,
    /// The kind of failure, from a fixed list.
    pub failure: Option<&'static str>,
    /// The key, masked.
    pub api_key: String,
    /// Whose key it is.
    pub key_name: Option<String>,
    /// Whether a stream was asked for.
    pub stream: Option<bool>,
    /// The upstream's dialect.
    pub dialect: Option<&'static str>,
    /// How thinking was shown.
    pub think_mode: Option<&'static str>,
    /// Why the model stopped.
    pub finish_reason: Option<&'static str>,
    /// Milliseconds from its head to its end.
    pub response_time_ms: u64,
    /// Milliseconds in queues: for a place of the model's, for a slot, for a token.
    pub queue_time_ms: Option<u64>,
    /// Milliseconds until the model's first token.
    pub time_to_first_token_ms: Option<u64>,
    /// Upstream attempts after the first.
    pub retry_count: u32,
    /// Tokens of the request, as the upstream counts.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the upstream counts.
    pub completion_tokens: Option<u64>,
    /// Events of the upstream's stream: in how many pieces the answer came, and a few more.
    pub upstream_events: u64,
    /// Tokens of the answer for each second that the model wrote; None where its client held it up
    /// for so long that this is not known.
    pub tokens_per_second: Option<f64>,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
}

/// Sums since the start, of chat requests. They only grow: a difference of two is what happened
/// between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Those that have ended.
    pub finished: u64,
    /// Failed by the client's fault; those who hung up are not among them.
    pub failed_by_client: u64,
    /// Failed by the gateway's.
    pub failed_by_gateway: u64,
    /// Failed by the upstream's.
    pub failed_by_upstream: u64,
    /// Clients that went away.
    pub hung_up: u64,
    /// Upstream attempts after the first.
    pub retries: u64,
    /// Tokens of the requests, as the upstream counts.
    pub prompt_tokens: u64,
    /// Tokens of the answers, as the upstream counts.
    pub completion_tokens: u64,
    /// Bytes of the answers' bodies.
    pub bytes_sent: u64,
}

/// Remembers the last requests. Bounded: the oldest goes first.
#[derive(Debug, Default)]
pub struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    totals: Totals,
    last: VecDeque<Finished>,
}

impl Recent {
    /// The sums since the start.
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// The requests that ended after the one of this number, oldest first; as far as they are
    /// remembered. With 0: all of those.
    pub fn since(&self, number: u64) -> Vec<Finished> {
        self.lock().last.iter().filter(|finished| finished.number > number).cloned().collect()
    }

    pub(crate) fn add(&self, mut finished: Finished) {
        let mut kept = self.lock();
        kept.totals.add(&finished);
        finished.number = kept.totals.finished;
        if kept.last.len() == REMEMBERED {
            kept.last.pop_front();
        }
        kept.last.push_back(finished);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add(&mut self, finished: &Finished) {
        self.finished += 1;
        match finished.owner {
            Owner::Client if finished.status == crate::record::HUNG_UP => self.hung_up += 1,
            Owner::Client => self.failed_by_client += 1,
            Owner::Gateway => self.failed_by_gateway += 1,
            Owner::Upstream => self.failed_by_upstream += 1,
            Owner::None => {}
        }
        self.retries += u64::from(finished.retry_count);
        self.prompt_tokens += finished.prompt_tokens.unwrap_or(0);
        self.completion_tokens += finished.completion_tokens.unwrap_or(0);
        self.bytes_sent += finished.bytes_sent;
    }
}
