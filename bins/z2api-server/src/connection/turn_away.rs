//! Answers that need no conversation: errors that close their connection, written by ourselves.

use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use socket2::SockRef;
use tokio::net::TcpStream;
use z2api_observability::{RequestId, Tries};

use super::head::written;
use super::refusals::{Refused, note};
use super::watch::Why;
use crate::app::App;
use crate::error::ApiError;
use crate::service::sign;

/// The whole answer. What it answers took so long to come.
pub(crate) fn last_words(app: &App, error: &ApiError, id: &RequestId, took: Duration) -> Vec<u8> {
    let body = error.body();
    let (mut parts, _) = error.response(Vec::new()).into_parts();
    let now = Instant::now();
    let timing = Tries::default().server_timing(now.checked_sub(took).unwrap_or(now));
    sign(&app.live(), None, id, &timing, &mut parts.headers);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut answer = written(parts.status, parts.headers);
    answer.extend_from_slice(&body);
    answer
}

/// Writes what the socket takes of it, and waits for nothing.
pub(crate) fn tell(stream: &TcpStream, answer: &[u8]) {
    let _ = SockRef::from(stream).send(answer);
}

/// Closes a connection that there is no place for, with a 503 where that can be had at once:
/// whoever speaks TLS would not understand it.
pub(crate) fn turn_away(app: &App, stream: &TcpStream, peer: SocketAddr, why: Why) {
    let socket = SockRef::from(stream);
    // What has come must be read, or closing would reset the connection and destroy the answer.
    let _ = socket.recv(&mut [MaybeUninit::uninit(); 4096]);
    let mut refused = Refused::default();
    if app.live().peers.tls.is_none() {
        let id = refused.id.insert(RequestId::random());
        tell(stream, &last_words(app, &ApiError::too_many_connections(), id, Duration::ZERO));
    }
    note(app, peer, why, &refused);
    let _ = socket.shutdown(Shutdown::Write);
}
