//! One HTTP/1.1 connection, which goes on only while whoever uses it polls.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;

use super::relay::Relay;
use crate::cause;
use crate::connector::Socket;
use crate::transport::TransportError;

/// Without a task and a channel of its own: an event of an answer wakes one task, which reads it
/// and hands it on. Dropping it closes the connection.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended.
    connection: Option<Connection<TokioIo<Socket>, Full<Bytes>>>,
    relay: Relay,
    /// The runtime that drives the socket.
    home: Handle,
}

impl Link {
    /// Boxed, since it is large and moves between answers and the pool.
    pub(super) async fn begin(socket: Socket) -> Result<Box<Self>, TransportError> {
        let (sender, connection) = handshake(TokioIo::new(socket))
            .await
            .map_err(|error| TransportError::connect(cause::words(&error)))?;
        let (relay, home) = (Relay::new(), Handle::current());
        Ok(Box::new(Self { sender, connection: Some(connection), relay, home }))
    }

    pub(super) fn home(&self) -> &Handle {
        &self.home
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// With the request, if none of it has left.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| self.poll(cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Lets the connection go on, and polls what depends on it.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut depends: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { connection, relay, .. } = self;
        relay.poll(cx, |cx| {
            turn(connection, cx);
            depends(cx)
        })
    }

    /// Whether it can take a request now. Wakes this one when it no longer can.
    pub(super) fn is_idle(&mut self, waker: &Waker) -> bool {
        turn(&mut self.connection, &mut Context::from_waker(waker));
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Closes an idle connection by the rules: in TLS there is a word for it.
    pub(super) fn close(self) {
        let Self { sender, mut connection, .. } = self;
        drop(sender);
        turn(&mut connection, &mut Context::from_waker(Waker::noop()));
    }
}

/// An end is told by what depends on the connection.
fn turn(connection: &mut Option<Connection<TokioIo<Socket>, Full<Bytes>>>, cx: &mut Context<'_>) {
    if let Some(open) = connection
        && Pin::new(open).poll(cx).is_ready()
    {
        // Those who still wait on it learn of the end when it is dropped.
        *connection = None;
    }
}
