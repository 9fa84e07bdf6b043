//! What a record is told of its request.

use crate::metrics::Owner;

/// How a client is lost that had not had all of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It went away.
    HungUp,
    /// It does not answer any more, not even that it is there.
    Vanished,
    /// It was let go of, for it did not take its answer.
    Stalled,
}

impl Lost {
    /// The kind of failure that it is.
    pub fn kind(self) -> &'static str {
        match self {
            Self::HungUp => "client_hung_up",
            Self::Vanished => "client_vanished",
            Self::Stalled => "client_stalled",
        }
    }

    /// What the log says.
    pub fn text(self) -> &'static str {
        match self {
            Self::HungUp => "the client hung up",
            Self::Vanished => "the client vanished",
            Self::Stalled => "the client did not take its answer",
        }
    }
}

/// A key that is known to be good, as far as it may be told.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) masked: String,
    /// Whose it is, if it has a name.
    pub(super) name: Option<String>,
}

/// What is known once a request has been understood.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The model asked for.
    pub model: String,
    /// How many messages.
    pub message_count: usize,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// As given.
    pub temperature: Option<f64>,
    /// As given.
    pub max_tokens: Option<u64>,
    /// The messages, if they are to be logged.
    pub messages: Option<String>,
}

/// The text of an answer, as far as the log may have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was answered.
    pub content: String,
    /// What was thought before, where that was shown apart.
    pub reasoning: String,
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status, if none has gone out.
    pub status: u16,
    /// The kind, from a fixed list.
    pub kind: &'static str,
    /// Who could have prevented it.
    pub owner: Owner,
    /// What the log says.
    pub text: String,
    /// The field at fault, in the gateway's own words.
    pub param: Option<String>,
}
