//! One request and its answer, as the connection sees them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::gate::Standing;
use super::shared::Shared;
use super::watch::Watch;
use crate::app::App;
use crate::body::{Body, Frames, NoRest};
use crate::memory::Rung;
use crate::service;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// For clients.
    Public,
    /// For the operator (`ADMIN_ADDR`).
    Operator,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// By which way it came in.
    pub(crate) entrance: Entrance,
    /// What its connection may do.
    pub(crate) standing: Standing,
}

impl Peer {
    /// Its address without the port.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}

/// A body that tells the watch when it is over, however that comes.
#[derive(Debug)]
pub(crate) struct Tracked {
    body: Held,
    open: Open,
}

/// How the body is held.
#[derive(Debug)]
enum Held {
    /// The only one of its connection: who lets go of it drops the connection.
    Alone(Body),
    /// One of many.
    Shared(Arc<Shared>),
}

/// A request that is not over.
#[derive(Debug)]
struct Open(Arc<Watch>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.answer_ends();
    }
}

/// Answers one request.
pub(crate) async fn exchange(
    app: Arc<App>,
    peer: Peer,
    watch: Arc<Watch>,
    request: Request<Incoming>,
) -> Result<Response<Tracked>, Infallible> {
    watch.request_begins();
    let open = Open(watch.clone());
    let version = request.version();
    // hyper goes by the transfer coding where a length is given too, and hides the length. What
    // stands before the gateway may have gone by the length: nothing after this body is a request
    // that both agree on (RFC 9112, 6.1).
    let ambiguous = request.headers().contains_key(TRANSFER_ENCODING);
    let is_last = asks_to_close(request.headers());
    let mut response = service::handle(app.clone(), peer, request).await;
    if version >= Version::HTTP_2 {
        response.headers_mut().remove(CONNECTION);
    } else if ambiguous
        || is_last
        || peer.standing == Standing::Crowded
        || app.stopping.load(Relaxed)
        || app.memory.rung() >= Rung::Tight
        || leaves_body_unread(response.status())
        || ends_with_connection(version, &response)
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if version == Version::HTTP_10 {
            // Or else hyper adds that the connection is kept, where the client wishes that.
            *response.version_mut() = version;
        }
    }
    watch.answer_begins();
    Ok(response.map(|body| Tracked { body: Held::new(body, version, &watch), open }))
}

/// What has been taken to its end is on its way out, and the connection holds it until it has left.
/// The record of any other request says how its client was lost.
impl Drop for Tracked {
    fn drop(&mut self) {
        let Self { body, open: Open(watch) } = self;
        match (body, watch.dropped()) {
            (Held::Alone(body), Some(why)) => body.dropped(why),
            (Held::Alone(body), None) if body.is_end_stream() && body.ends_a_request() => {
                watch.leaves(std::mem::replace(body, Body::bytes(Bytes::new())));
            }
            (Held::Shared(shared), Some(why)) => shared.let_go(why),
            (Held::Alone(_) | Held::Shared(_), None) => {}
        }
    }
}

impl Held {
    fn new(body: Body, version: Version, watch: &Watch) -> Self {
        if version < Version::HTTP_2 {
            return Self::Alone(body);
        }
        let shared = Shared::new(body, watch.now());
        watch.shares(&shared);
        Self::Shared(shared)
    }
}

/// Whether the client says that it has no further request (RFC 9112, 9.6).
fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("close"))
}

/// Whether the rest of the request's body has no place to go.
fn leaves_body_unread(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE)
}

/// An old client learns only from the end of the connection where an answer of unknown length ends.
fn ends_with_connection(version: Version, response: &Response<Body>) -> bool {
    version == Version::HTTP_10 && response.body().size_hint().exact().is_none()
}

impl Tracked {
    /// Whether it is made while it is sent.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.body, Held::Alone(Body::Stream(_)))
    }

    /// The only answer of its connection.
    #[cfg(test)]
    pub(crate) fn alone(body: Body, watch: &Arc<Watch>) -> Self {
        watch.request_begins();
        Self { body: Held::Alone(body), open: Open(watch.clone()) }
    }

    /// What makes it while it is sent, if it is the only one of its connection.
    pub(crate) fn frames(&mut self) -> Option<&mut dyn Frames> {
        match &mut self.body {
            Held::Alone(Body::Stream(frames)) => Some(frames.as_mut()),
            Held::Alone(Body::Whole(_)) | Held::Shared(_) => None,
        }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = NoRest;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoRest>>> {
        let Self { body, open } = &mut *self;
        match body {
            Held::Alone(body) => Pin::new(body).poll_frame(cx),
            Held::Shared(shared) => shared.poll_frame(cx, || open.0.now()),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Held::Alone(body) => body.is_end_stream(),
            Held::Shared(shared) => shared.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Held::Alone(body) => body.size_hint(),
            Held::Shared(shared) => shared.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function of four promises, in bytes.
    fn promised<A, B, C, D, P>(_: impl FnOnce(A, B, C, D) -> P) -> usize {
        size_of::<P>()
    }

    /// A request that waits for its slot, or for the upstream, holds this. An argument of an async
    /// function is easily kept twice in each of them that it goes through.
    #[test]
    fn a_request_on_its_way_is_no_larger_than_9_kib() {
        let size = promised(exchange);
        assert!(size <= 9 * 1024, "{size}");
    }
}
