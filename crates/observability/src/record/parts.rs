//! What a record is told of its request.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::excerpt::Excerpt;
use crate::metrics::Owner;

/// How much of an answer's text the log may have, in bytes; and as much of its thinking.
const MAX_SAID: usize = 4 * 1024;
/// How many of an answer's tool calls.
const MAX_CALLS: usize = 16;
/// How much of a call's arguments, in bytes.
const MAX_ARGUMENTS: usize = 1024;
/// How much of a call's id, and of the tool's name, in bytes.
const MAX_NAME: usize = 128;

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
    /// The last messages, as JSON, if they are to be logged. Where some are left out, there are
    /// fewer than `message_count`.
    pub messages: Option<Vec<Box<RawValue>>>,
}

/// What an answer says, as far as the log may have it.
#[derive(Debug, Clone)]
pub struct Said {
    pub(super) content: Excerpt,
    pub(super) reasoning: Excerpt,
    pub(super) calls: Vec<Call>,
    pub(super) calls_left_out: u64,
}

impl Default for Said {
    fn default() -> Self {
        let text = Excerpt::new(MAX_SAID);
        Self { content: text.clone(), reasoning: text, calls: Vec::new(), calls_left_out: 0 }
    }
}

impl Said {
    /// More text of the answer.
    pub fn content(&mut self, text: &str) {
        self.content.push(text);
    }

    /// More of its thinking, where that is shown apart.
    pub fn reasoning(&mut self, text: &str) {
        self.reasoning.push(text);
    }

    /// More of a tool call: the piece that has an id or a name begins it.
    pub fn call(&mut self, index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) {
        let call = match self.calls.iter().rposition(|call| call.index == index) {
            Some(known) => &mut self.calls[known],
            None if self.calls.len() == MAX_CALLS => {
                self.calls_left_out += u64::from(id.is_some() || name.is_some());
                return;
            }
            None => self.calls.push_mut(Call {
                index,
                id: Excerpt::new(MAX_NAME),
                name: Excerpt::new(MAX_NAME),
                arguments: Excerpt::new(MAX_ARGUMENTS),
            }),
        };
        call.id.push(id.unwrap_or_default());
        call.name.push(name.unwrap_or_default());
        call.arguments.push(arguments);
    }
}

/// A tool call of an answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    #[serde(skip)]
    index: u32,
    id: Excerpt,
    name: Excerpt,
    arguments: Excerpt,
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
    /// A limit on how long an answer may take has run out. Where the client kept it waiting for most of
    /// that time, it is the client's.
    pub of_time: bool,
    /// What the log says.
    pub text: String,
    /// The field at fault, in the gateway's own words.
    pub param: Option<String>,
}
