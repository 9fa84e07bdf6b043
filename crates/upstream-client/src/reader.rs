//! An answer's bytes become events, up to an end mark, an error, or a cut.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use z2api_wire::Malformed;
use z2api_wire::decode::EventDecoder;
use z2api_wire::event::{Dialect, Event};
use z2api_wire::named::Named;
use z2api_wire::sse::Decoder;

use crate::classify::Refusal;
use crate::dialect;
use crate::error::Error;
use crate::rest::read_rest;
use crate::token::Token;
use crate::transport::{Body, TransportError};

/// The most that is decoded at once, in bytes.
const MAX_READ: usize = 8 * 1024;
/// The same before the first event that counts: those of one part are kept until they are asked for,
/// each in memory of its own.
const MAX_FIRST_READ: usize = 512;

/// What one read of the upstream gave.
pub(crate) enum Read {
    /// Bytes without a whole event, or only comments.
    Nothing,
    /// Events, which were handed over. `content` if one of them carried some.
    Events { content: bool },
    /// The end of a whole answer.
    End,
    /// Nothing more will come, and this is why.
    Failed(Error),
}

/// Reads one answer. Dropping it closes the connection, unless the answer's end has arrived.
pub(crate) struct Reader {
    body: Option<Body>,
    /// Bytes that were read and not yet decoded.
    first: Bytes,
    decoder: Decoder,
    events: EventDecoder,
    seen: Seen,
    outcome: Option<Result<(), Error>>,
    dialect: Dialect,
    token: Option<Token>,
}

/// What the answer has had so far.
#[derive(Default)]
struct Seen {
    begun: bool,
    finish: bool,
    end_mark: bool,
}

/// Why the decoder stops within a read.
enum Stop {
    Malformed(Malformed),
    /// The end mark, or an error event: what follows is not read.
    Over,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Reader {
    pub(crate) fn new(
        body: Body,
        first: Bytes,
        dialect: Dialect,
        max_event: usize,
        token: Option<Token>,
    ) -> Self {
        Self {
            body: Some(body),
            first,
            decoder: Decoder::new(max_event),
            events: EventDecoder::new(dialect),
            seen: Seen::default(),
            outcome: None,
            dialect,
            token,
        }
    }

    /// What the upstream calls the answer, once it has said so.
    pub(crate) fn named(&self) -> Option<&Named> {
        self.events.named()
    }

    /// Whether the upstream sends no more of this answer, as far as it has been read.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.outcome {
            None | Some(Err(Error::Malformed(_))) => false,
            Some(Ok(()) | Err(_)) => true,
        }
    }

    /// Closes the connection.
    pub(crate) fn close(&mut self) {
        self.body = None;
    }

    /// Makes one read and hands its events to `each`. Good events come before the error of the
    /// same read, which is told by the next call.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Poll<Read> {
        if let Some(outcome) = &self.outcome {
            let read = match outcome {
                Ok(()) => Read::End,
                Err(error) => Read::Failed(error.clone()),
            };
            self.settle(cx);
            self.let_go();
            return Poll::Ready(read);
        }
        let bytes = ready!(self.poll_bytes(cx));
        let mut handed = Handed::default();
        match bytes {
            Some(Ok(bytes)) => self.decode(Some(&bytes), &mut handed, each),
            Some(Err(error)) => self.outcome = Some(Err(error.into())),
            None => self.decode(None, &mut handed, each),
        }
        if self.outcome.is_some() {
            self.settle(cx);
        }
        if handed.any {
            return Poll::Ready(Read::Events { content: handed.content });
        }
        if self.outcome.is_some() { self.poll(cx, each) } else { Poll::Ready(Read::Nothing) }
    }

    /// The next bytes, up to a bound: a large read is handed over in parts, so that whoever
    /// reads can stop between them.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        if self.first.is_empty() {
            match ready!(self.poll_body(cx)) {
                Some(Ok(bytes)) => self.first = bytes,
                end => return Poll::Ready(end),
            }
        }
        let most = if self.seen.begun { MAX_READ } else { MAX_FIRST_READ };
        let part = self.first.split_to(self.first.len().min(most));
        Poll::Ready(Some(Ok(part)))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                    Err(_trailers) => {}
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Decodes one read; None is the end of the bytes.
    fn decode(
        &mut self,
        bytes: Option<&[u8]>,
        handed: &mut Handed,
        each: &mut dyn FnMut(Event<'_>),
    ) {
        let Self { decoder, events, seen, outcome, dialect, token, .. } = self;
        let dialect = *dialect;
        let mut on_data = |data: &[u8]| {
            events.decode(data, &mut |event| {
                if outcome.is_some() {
                    return;
                }
                match seen.note(&event) {
                    Note::Content => {
                        handed.content = true;
                        handed.any = true;
                        each(event);
                    }
                    Note::Beside => {
                        handed.any = true;
                        each(event);
                    }
                    Note::End => *outcome = Some(seen.verdict(dialect)),
                    Note::Error(fault) => {
                        let refusal = Refusal::in_band(dialect, fault, token.as_ref());
                        *outcome = Some(Err(refusal.into_error()));
                    }
                }
            })?;
            if outcome.is_some() { Err(Stop::Over) } else { Ok(()) }
        };
        let stopped = match bytes {
            Some(bytes) => decoder.feed(bytes, &mut on_data),
            None => decoder.finish(&mut on_data),
        };
        match (stopped, bytes) {
            (Ok(()), Some(_)) | (Err(Stop::Over), _) => {}
            // Half an event at the end of the bytes is a cut, not a mistake.
            (Ok(()) | Err(Stop::Malformed(_)), None) => self.outcome = Some(seen.verdict(dialect)),
            (Err(Stop::Malformed(malformed)), Some(_)) => {
                self.outcome = Some(Err(Error::Malformed(malformed)));
            }
        }
    }

    /// Closes the connection; after a whole answer not before its rest has come, or is late.
    fn let_go(&mut self) {
        if let (Some(body), Some(Ok(()))) = (self.body.take(), &self.outcome) {
            read_rest(body);
        }
    }

    /// Asks the body once more after the end mark, without waiting: a connection whose answer
    /// has been read to its end can be used again.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let Some(body) = &mut self.body else { return };
        if !matches!(self.outcome, Some(Ok(()))) || body.as_mut().poll_frame(cx).is_ready() {
            self.close();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[derive(Default)]
struct Handed {
    any: bool,
    content: bool,
}

/// What an event is to the reader.
enum Note {
    /// To hand on; feeds the idle clock.
    Content,
    /// To hand on.
    Beside,
    End,
    Error(z2api_wire::fault::Fault),
}

/// Whether an event is the begin of an answer: text, an edit, a tool call, or a finish. Token
/// counts, search results and unknown shapes may come before it and mean nothing yet.
pub(crate) fn is_begin(event: &Event<'_>) -> bool {
    match event {
        Event::Text { .. } | Event::Edit { .. } | Event::ToolCall(_) | Event::Finish(_) => true,
        Event::Search(_) | Event::Usage(_) | Event::Unknown(_) | Event::Error(_) | Event::End => {
            false
        }
    }
}

impl Seen {
    fn note(&mut self, event: &Event<'_>) -> Note {
        self.begun |= is_begin(event);
        match event {
            Event::Text { .. }
            | Event::Edit { .. }
            | Event::ToolCall(_)
            | Event::Search(_)
            | Event::Usage(_) => Note::Content,
            Event::Finish(_) => {
                self.finish = true;
                Note::Content
            }
            Event::Unknown(_) => Note::Beside,
            Event::End => {
                self.end_mark = true;
                Note::End
            }
            Event::Error(fault) => Note::Error(fault.clone()),
        }
    }

    /// What to make of an answer that stops here.
    fn verdict(&self, dialect: Dialect) -> Result<(), Error> {
        if !self.begun {
            Err(Error::Empty)
        } else if dialect::is_whole(dialect, self.end_mark, self.finish) {
            Ok(())
        } else {
            Err(Error::Truncated)
        }
    }
}
