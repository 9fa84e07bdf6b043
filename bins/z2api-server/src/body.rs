//! The bodies of answers.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use z2api_observability::{Lost, RequestRecord};

use crate::connection::Why;
use crate::error::ApiError;
use crate::slot::Slot;

/// What the service answers.
pub(crate) type Response = http::Response<Body>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it is there.
    Whole(Whole),
    /// A stream. Owns the slot and the record of its request.
    Stream(Box<dyn Frames>),
}

/// Why an answer has no rest, and must not look whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRest {
    /// The client did not take it.
    LetGo,
    /// A panic, and another one in saying so.
    Broken,
}

impl fmt::Display for NoRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LetGo => "the client did not take its answer in time",
            Self::Broken => "the answer broke, and cannot say so",
        })
    }
}

impl std::error::Error for NoRest {}

/// A body that is made while it is sent.
pub(crate) trait Frames: Debug + Send {
    /// The next bytes, or None after the last.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// Its connection is dropped before its end.
    fn dropped(&mut self, _why: Why) {}

    /// Whether the bytes that were given last are all for now: whoever asked for them is woken when
    /// there is more, as if the answer had been [`Poll::Pending`].
    fn is_waiting(&self) -> bool {
        false
    }

    /// What was given has been sent without waiting for the client. Who does not say so tells it
    /// by asking for more.
    fn taken_at_once(&mut self) {}

    /// It was asked for more though what it gave has not been sent yet.
    fn not_taken_yet(&mut self) {}

    /// A panic came out of [`Frames::poll_bytes`]. What follows tells so, and ends.
    fn broke(&mut self);

    /// Whether the last bytes have been taken.
    fn is_over(&self) -> bool;
}

/// A body that is all there, with what ends when it has been handed over.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Bytes,
    record: Option<Box<RequestRecord>>,
    _slot: Option<Slot>,
}

impl Body {
    /// Bytes that nothing depends on.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Whole { bytes: bytes.into(), record: None, _slot: None })
    }

    /// Bytes that end their request: the record is closed when they have been taken, and the slot
    /// returned when the body is dropped.
    pub(crate) fn last(bytes: impl Into<Bytes>, record: Box<RequestRecord>, slot: Slot) -> Self {
        Self::Whole(Whole { bytes: bytes.into(), record: Some(record), _slot: Some(slot) })
    }

    /// Its connection is dropped before its end: what its record says then.
    pub(crate) fn dropped(&mut self, why: Why) {
        match self {
            Self::Stream(frames) => frames.dropped(why),
            Self::Whole(Whole { record: Some(record), .. }) => note_drop(record, why),
            Self::Whole(_) => {}
        }
    }
}

/// What the end of its connection is to a request that was not over.
pub(crate) fn note_drop(record: &mut RequestRecord, why: Why) {
    match why {
        Why::Stalled => record.lost(Lost::Stalled),
        // It has said so itself, if anybody read it.
        Why::Held => record.fail_first(ApiError::held_too_long().failure()),
        Why::HungUp | Why::Silent | Why::SlowHead | Why::Idle | Why::Old => {
            record.lost(Lost::HungUp);
        }
    }
}

impl Whole {
    fn close_record(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.first_byte();
            record.bytes(self.bytes.len() as u64);
            record.whole();
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = NoRest;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoRest>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                body.close_record();
                let bytes = std::mem::take(&mut body.bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream(answer) => {
                poll_caught(answer.as_mut(), cx).map(|bytes| bytes.map(|b| b.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.bytes.is_empty(),
            Self::Stream(answer) => answer.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A panic costs this answer, not the connection's task with all that runs in it. The state that a
/// panic leaves behind is not used any more, except to say so. Where that fails too, the answer
/// has no end.
fn poll_caught(
    frames: &mut dyn Frames,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, NoRest>>> {
    let poll = |frames: &mut dyn Frames, cx: &mut Context<'_>| {
        catch_unwind(AssertUnwindSafe(|| frames.poll_bytes(cx)))
    };
    let polled = poll(frames, cx).or_else(|_| {
        let told = catch_unwind(AssertUnwindSafe(|| frames.broke()));
        told.and_then(|()| poll(frames, cx))
    });
    match polled {
        Ok(polled) => polled.map(|bytes| bytes.map(Ok)),
        Err(_) => Poll::Ready(Some(Err(NoRest::Broken))),
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::bytes(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    json_bytes(status, serde_json::to_vec(value).expect("our own types are JSON"))
}

/// An answer whose JSON is written already.
pub(crate) fn json_bytes(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::bytes(bytes));
    *response.status_mut() = status;
    let value = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
