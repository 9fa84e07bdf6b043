//! One token of the pool: its source, its rest, and its limits.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::clocks::after;
use crate::error::Error;
use crate::guest::Guests;
use crate::pool::limit::{Limit, Sent};
use crate::pool::status::TokenState;
use crate::token::Token;

/// How long a token rests whose quota is used up, if the upstream does not say.
pub(crate) const PARK: Duration = Duration::from_secs(15 * 60);
/// How often a dead token is asked once more when no other is left: an upstream that refused it by
/// mistake must not need a restart of ours.
pub(crate) const PROBE: Duration = Duration::from_secs(60);

/// Where a token comes from. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Source {
    /// The settings.
    Given(Token),
    /// The upstream, for the asking: one guest at a time.
    Guests(Guests),
}

impl Source {
    /// How it fares, apart from what its requests were told by the pool's rules.
    pub(crate) fn state(&self) -> TokenState {
        match self {
            Self::Given(_) => TokenState::Ok,
            Self::Guests(guests) => guests.state(),
        }
    }

    /// How long until a token may be had from it.
    pub(crate) fn rest(&self) -> Duration {
        match self {
            Self::Given(_) => Duration::ZERO,
            Self::Guests(guests) => guests.rest(),
        }
    }

    fn is_of_use(&self) -> bool {
        match self {
            Self::Given(_) => true,
            Self::Guests(guests) => guests.are_of_use(),
        }
    }
}

pub(crate) struct Slot {
    pub(crate) source: Source,
    pub(crate) rest: Option<Rest>,
    /// How often in a row it was made to cool.
    cooled: u32,
    pub(crate) in_flight: usize,
    /// When it was last taken, counted in takes of the pool.
    pub(crate) taken: u64,
    pub(crate) limits: HashMap<String, Limit>,
}

/// Why a token is not used, and until when.
pub(crate) struct Rest {
    pub(crate) kind: RestKind,
    /// For a dead one, when it may be probed.
    pub(crate) until: Instant,
    pub(crate) error: Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestKind {
    Cooling,
    Parked,
    Dead,
}

/// Whether a token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Now,
    At(Instant),
    Never,
}

impl Slot {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, rest: None, cooled: 0, in_flight: 0, taken: 0, limits: HashMap::new() }
    }

    pub(crate) fn ready(&self, now: Instant) -> Ready {
        match &self.rest {
            None => Ready::Now,
            Some(Rest { kind: RestKind::Dead, .. }) => Ready::Never,
            Some(Rest { kind: RestKind::Cooling | RestKind::Parked, until, .. }) => {
                if *until <= now { Ready::Now } else { Ready::At(*until) }
            }
        }
    }

    /// Whether a request could be sent with it now or shortly, if only to see whether it lives again.
    pub(crate) fn is_of_use(&self, now: Instant) -> bool {
        let rested = match &self.rest {
            None | Some(Rest { kind: RestKind::Cooling, .. }) => true,
            Some(Rest { kind: RestKind::Parked | RestKind::Dead, until, .. }) => *until <= now,
        };
        rested && self.source.is_of_use()
    }

    pub(crate) fn has_room(&self, model: &str) -> bool {
        self.limits.get(model).is_none_or(Limit::has_room)
    }

    pub(crate) fn send(&mut self, model: &str) -> Sent {
        self.in_flight += 1;
        match self.limits.get_mut(model) {
            Some(limit) => limit.send(),
            None => self.limits.entry(model.to_owned()).or_default().send(),
        }
    }

    /// An answer has begun: whatever was wrong is over, unless it came up meanwhile.
    pub(crate) fn answered(&mut self, model: &str, sent: Sent, now: Instant) {
        if let Some(limit) = self.limits.get_mut(model) {
            limit.answered(sent);
        }
        let over = |rest: &Rest| rest.until <= now || rest.kind == RestKind::Dead;
        if self.rest.as_ref().is_none_or(over) {
            self.rest = None;
            self.cooled = 0;
        }
    }

    /// Too many at once; gives whether it was the only one.
    pub(crate) fn refused(&mut self, model: &str, sent: Sent) -> bool {
        self.limits.get_mut(model).is_none_or(|limit| limit.refused(sent))
    }

    /// A request is over. A limit that has taught nothing is forgotten with the last one.
    pub(crate) fn ended(&mut self, model: &str, sent: Sent) {
        self.in_flight -= 1;
        let Some(limit) = self.limits.get_mut(model) else { return };
        limit.ended(sent);
        if limit.in_flight() == 0 && limit.allowed().is_none() {
            self.limits.remove(model);
        }
    }

    /// Lets it cool; `step` gives for how long, from how often it was made to before. One that
    /// rests already was refused by requests of the same moment: that is one time.
    pub(crate) fn cool(&mut self, error: Error, now: Instant, step: impl FnOnce(u32) -> Duration) {
        let wait = step(self.cooled);
        let asked_for = error.retry_after().is_some();
        match self.ready(now) {
            Ready::Now => {
                self.cooled = self.cooled.saturating_add(1);
                self.rest = Some(Rest { kind: RestKind::Cooling, until: after(wait), error });
            }
            Ready::At(until) if asked_for && after(wait) > until => {
                self.rest = Some(Rest { kind: RestKind::Cooling, until: after(wait), error });
            }
            Ready::At(_) | Ready::Never => {}
        }
    }

    pub(crate) fn park(&mut self, error: Error) {
        let until = after(error.retry_after().unwrap_or(PARK));
        self.rest = Some(Rest { kind: RestKind::Parked, until, error });
    }

    pub(crate) fn die(&mut self, error: Error) {
        self.rest = Some(Rest { kind: RestKind::Dead, until: after(PROBE), error });
    }
}
