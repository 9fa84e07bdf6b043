//! Who watches a chat's attempts, as they begin and as they end.

use std::sync::atomic::{AtomicU16, AtomicU64};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// Watches the attempts of one chat. Called between attempts: it must not block.
pub trait Observer: Send + Sync {
    /// A token is waited for from now on: the turn with one, or the end of its rest.
    fn waits(&self) {}

    /// That wait is over: with a token, without one, or since its caller went away.
    fn waited(&self) {}

    /// An attempt begins. The answer is the place in a trace that its requests tell, or None.
    fn begins(&self, attempt: u32) -> Option<TracePlace> {
        let _ = attempt;
        None
    }

    /// An attempt is over: the model answers, or it failed, or its caller went away.
    fn ended(&self, attempt: &Attempt) {
        let _ = attempt;
    }
}

/// Watches nothing.
impl Observer for () {}

/// A place in a trace, as the headers of W3C's Trace Context. A value that no header can have is left
/// out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracePlace {
    /// The value of `traceparent`.
    pub parent: String,
    /// The value of `tracestate`, if there is one.
    pub state: Option<String>,
}

/// One time the upstream was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The token's place in [`Client::tokens`](crate::Client::tokens).
    pub token: usize,
    /// Until the first event, the failure, or the end of the caller's patience.
    pub took: Duration,
    /// The HTTP status that came for the chat, if one did: 200 also where the answer then refuses.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
    /// How many events of a shape that is not known came to nothing: all of an attempt without an
    /// answer. Those that an answer begins with are in its stream.
    pub unknown_events: u64,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first event is there.
    Answered,
    /// It failed.
    Failed {
        /// [`Error::kind`], from a fixed list.
        kind: &'static str,
        /// The upstream's status, if it had one.
        status: Option<u16>,
    },
    /// Nobody waits for it any more.
    GivenUp,
}

/// An attempt under way. Dropped without a word, it counts as given up.
pub(crate) struct Watched<'a> {
    observer: &'a dyn Observer,
    began: Instant,
    token: usize,
    number: u32,
    told: bool,
    pub(crate) came: Came,
}

/// What has come of an attempt so far.
#[derive(Default)]
pub(crate) struct Came {
    /// The status of the answer to the chat; 0 if there is none yet.
    pub(crate) status: AtomicU16,
    /// Events of unknown shape that nobody gets.
    pub(crate) unknown: AtomicU64,
}

/// A wait for a token. Dropping it is its end.
pub(crate) struct Waiting<'a>(&'a dyn Observer);

impl<'a> Waiting<'a> {
    pub(crate) fn new(observer: &'a dyn Observer) -> Self {
        observer.waits();
        Self(observer)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited();
    }
}

impl<'a> Watched<'a> {
    pub(crate) fn new(observer: &'a dyn Observer, number: u32, token: usize) -> Self {
        let (began, came) = (Instant::now(), Came::default());
        Self { observer, began, token, number, told: false, came }
    }

    pub(crate) fn answered(mut self) {
        self.tell(Outcome::Answered);
    }

    pub(crate) fn failed(mut self, error: &Error) {
        self.tell(Outcome::Failed { kind: error.kind(), status: error.status() });
    }

    fn tell(&mut self, outcome: Outcome) {
        self.told = true;
        let Self { number, token, began, .. } = *self;
        let (took, unknown_events) = (began.elapsed(), *self.came.unknown.get_mut());
        let status = Some(*self.came.status.get_mut()).filter(|status| *status != 0);
        self.observer.ended(&Attempt { number, token, took, status, outcome, unknown_events });
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::GivenUp);
        }
    }
}
