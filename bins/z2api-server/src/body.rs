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
use tokio::sync::watch::Receiver;
use z2api_observability::{Lost, RequestRecord};

use crate::app::App;
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

    /// All that it gave has left for the client: it is over.
    fn sent(&mut self) {}

    /// Whether the last bytes have been taken.
    fn is_over(&self) -> bool;
}

/// A body that is all there, with the request that ends when it has left.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Bytes,
    request: Option<InFlight>,
}

/// A request that holds its slot.
#[derive(Debug)]
struct InFlight {
    record: Option<Box<RequestRecord>>,
    out_of_time: Receiver<bool>,
    _slot: Slot,
}

/// A client that is cut off by the gateway's stop has not hung up.
impl Drop for InFlight {
    fn drop(&mut self) {
        if let (true, Some(record)) = (*self.out_of_time.borrow(), &mut self.record) {
            record.fail_first(ApiError::shutting_down().failure());
        }
    }
}

impl Body {
    /// Bytes that nothing depends on.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Whole { bytes: bytes.into(), request: None })
    }

    /// Bytes that end their request: the record is closed when they have left, and the slot
    /// returned when the body is dropped.
    pub(crate) fn last(
        bytes: impl Into<Bytes>,
        record: Box<RequestRecord>,
        slot: Slot,
        app: &App,
    ) -> Self {
        let out_of_time = app.out_of_time.subscribe();
        let request = InFlight { record: Some(record), out_of_time, _slot: slot };
        Self::Whole(Whole { bytes: bytes.into(), request: Some(request) })
    }

    /// Whether a request ends only when this has left for its client.
    pub(crate) fn ends_a_request(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::Whole(body) => body.request.is_some(),
        }
    }

    /// All of it has left for the client.
    pub(crate) fn sent(&mut self) {
        match self {
            Self::Stream(frames) => frames.sent(),
            Self::Whole(body) => {
                let request = body.request.as_mut();
                if let Some(record) = request.and_then(|request| request.record.take()) {
                    record.whole();
                }
            }
        }
    }

    /// Its connection is dropped before its end: what its record says then.
    pub(crate) fn dropped(&mut self, why: Why) {
        match self {
            Self::Stream(frames) => frames.dropped(why),
            Self::Whole(body) => {
                if let Some(record) = body.record() {
                    note_drop(record, why);
                }
            }
        }
    }
}

/// What the end of its connection is to a request that was not over.
pub(crate) fn note_drop(record: &mut RequestRecord, why: Why) {
    match why {
        Why::Stalled => record.lost(Lost::Stalled),
        // The answer has said so itself, if anybody read it.
        Why::Held => record.fail_first(ApiError::kept_too_long().failure()),
        Why::Vanished => record.lost(Lost::Vanished),
        Why::HungUp
        | Why::Silent
        | Why::SlowHead
        | Why::Idle
        | Why::Old
        | Why::Malformed
        | Why::HeadTooLarge
        | Why::NoTls
        | Why::TooMany
        | Why::TooManyOperators
        | Why::OutOfFiles => record.lost(Lost::HungUp),
    }
}

impl Whole {
    fn record(&mut self) -> Option<&mut RequestRecord> {
        self.request.as_mut()?.record.as_deref_mut()
    }

    fn take(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(record) = self.record() {
            record.first_byte();
            record.bytes(bytes.len() as u64);
        }
        bytes
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
                let bytes = body.take();
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
