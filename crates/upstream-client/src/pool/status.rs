//! What a pool tells about its tokens.

use std::time::Duration;

/// One token, as it is now. Holds nothing of the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenStatus {
    /// Its place in the settings, [`Settings::token`](crate::Settings) before those beside it,
    /// counted from 0; 0 for the guest.
    pub position: usize,
    /// Whether it is the guest's.
    pub guest: bool,
    /// Whether it is used.
    pub state: TokenState,
    /// How many requests it has in flight, streams counted to their end.
    pub in_flight: usize,
    /// What was learned about how many requests it may have in flight, by model.
    pub limits: Vec<ModelLimit>,
}

/// Whether a token is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// It is.
    Ok,
    /// Not now: the upstream has had too many requests with it, or has given no guest's token. That
    /// lasts until a fetch succeeds, also when its time is over.
    Cooling {
        /// For so long.
        left: Duration,
        /// Why: the words of an [`Error`](crate::Error), safe to show.
        reason: String,
    },
    /// Not for long: its quota is used up.
    Parked {
        /// For so long.
        left: Duration,
        /// Why: the words of an [`Error`](crate::Error), safe to show.
        reason: String,
    },
    /// No more: the upstream does not accept it. It is asked once a minute if no other is left.
    Dead {
        /// Why: the words of an [`Error`](crate::Error), safe to show.
        reason: String,
    },
}

/// How many requests a token may have in flight to a model, as learned from refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelLimit {
    /// The upstream's id of the model.
    pub model: String,
    /// How many are allowed at once. At least 1.
    pub allowed: u32,
    /// How many there are.
    pub in_flight: u32,
}
