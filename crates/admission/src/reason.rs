//! Why there is no permit, and whose doing it is.

use std::time::Duration;

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// When to come back: from a second to a minute, estimated from how fast permits return.
    pub retry_after: Duration,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No permit is free and the queue is full.
    #[error("no permit is free and the queue is full")]
    QueueFull,
    /// The queue is so long that no permit would come free in time.
    #[error("the queue is so long that no permit would come free in time")]
    WaitTooLong,
    /// No permit came free in time.
    #[error("no permit came free in time")]
    QueueTimeout,
    /// Nothing is admitted any more.
    #[error("nothing is admitted any more")]
    Draining,
    /// All is taken, and this caller has more of it than the others.
    #[error("all is taken, and this caller has more of it than the others")]
    OverFairShare,
    /// The caller has as many requests going as it may have.
    #[error("the caller may have {limit} requests going")]
    OverConcurrent {
        /// How many it may have.
        limit: u32,
    },
    /// The caller has made as many requests as it may make in a minute.
    #[error("the caller may make {limit} requests a minute")]
    OverRate {
        /// How many it may make.
        limit: u32,
    },
}

/// Whose doing a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// There is no room, whoever asks.
    Server,
    /// The caller wants more than its share; others may still be admitted.
    Caller,
}

impl Reason {
    /// Whose doing it is.
    pub fn doing(self) -> Doing {
        match self {
            Self::QueueFull | Self::WaitTooLong | Self::QueueTimeout | Self::Draining => {
                Doing::Server
            }
            Self::OverFairShare | Self::OverConcurrent { .. } | Self::OverRate { .. } => {
                Doing::Caller
            }
        }
    }
}
