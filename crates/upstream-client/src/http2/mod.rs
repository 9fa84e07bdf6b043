//! HTTP/2, where the upstream offers it: streams share connections, and none waits for another.
//!
//! A connection takes as many streams at once as its peer allows, often a hundred. One more would
//! wait, unsent, until another has ended, and here a stream lasts minutes. So the streams of each
//! connection are counted, and when all connections are full one more is opened.

mod connection;
mod lanes;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use self::lanes::{Lanes, Place, Turn};
use crate::cause;
use crate::connector::Connector;
use crate::direct::Direct;
use crate::transport::{Body, TransportError};

/// How many connections in a row one request may find full or about to close.
const MAX_TRIES: usize = 16;

/// The connections to one upstream. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http2 {
    lanes: Arc<Lanes>,
}

impl Http2 {
    pub(crate) fn new(connector: Connector, single: Direct) -> Self {
        Self { lanes: Arc::new(Lanes::new(connector, single)) }
    }

    /// Closes the connections without a stream.
    pub(crate) fn close_idle(&self) {
        self.lanes.close_idle();
    }

    /// Sends a request on a connection with room, which may have to be opened first.
    pub(crate) async fn send(
        self,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, TransportError> {
        let body = request.body().clone();
        let mut request = request.map(Full::new);
        for _ in 0..MAX_TRIES {
            let (mut sender, place) = match Lanes::turn(&self.lanes) {
                Turn::Take(sender, place) => (sender, place),
                Turn::Wait(opening) => {
                    opening.await?;
                    continue;
                }
                Turn::NotOffered => {
                    return self.lanes.single().send(request.map(|_full| body)).await;
                }
            };
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    return Ok(answer.map(|body| Box::pin(Stream { body, _place: place }) as Body));
                }
                // The connection closed at that moment, and nothing of the request has left.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.error())),
                },
            }
        }
        Err(TransportError::connect("no connection had room for one more stream"))
    }
}

fn broken(error: &hyper::Error) -> TransportError {
    TransportError::disconnected(cause::words(error))
}

/// The body of an answer. Dropping it before its end resets its stream, and no other.
struct Stream {
    body: Incoming,
    _place: Place,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| frame.map_err(|error| broken(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
