//! One HTTP/1.1 connection, which goes on only while whoever uses it polls.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::task::coop::unconstrained;

use super::head::{Head, HeadReader};
use super::request::{Outgoing, Unsent};
use crate::cause;
use crate::connector::Socket;
use crate::transport::TransportError;

/// The most that is read at once, in bytes. The space is on the stack: a connection that waits
/// holds none.
const READ: usize = 32 * 1024;

/// Without a task and a channel of its own: an event of an answer wakes one task, which reads it
/// and hands it on. Dropping it closes the connection.
pub(super) struct Link {
    socket: Socket,
    unsent: Option<Unsent>,
    /// Why the rest of a request could not be sent.
    broken: Option<TransportError>,
    /// The runtime that drives the socket.
    home: Handle,
}

/// A request that was not answered.
pub(super) enum Unanswered {
    /// The connection had closed, and nothing of the request has left.
    Unsent(TransportError),
    /// Nobody knows whether it has arrived.
    Sent(TransportError),
}

impl Link {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, unsent: None, broken: None, home: Handle::current() }
    }

    pub(super) fn home(&self) -> &Handle {
        &self.home
    }

    /// Sends a request and waits for the head of its answer, which may come before the whole request
    /// has gone out.
    pub(super) async fn send(&mut self, request: &Outgoing) -> Result<Head, Unanswered> {
        self.unsent = Some(request.unsent());
        let mut reader = HeadReader::default();
        poll_fn(|cx| {
            self.push(cx).map_err(|error| Unanswered::Unsent(disconnected(&error)))?;
            let head = ready!(self.poll_head(cx, &mut reader));
            Poll::Ready(head.map_err(|error| {
                // Whoever closes may have said why; if not, this is the better word.
                Unanswered::Sent(self.broken.take().unwrap_or(error))
            }))
        })
        .await
    }

    /// Sends what is left of the request, as far as it can go.
    ///
    /// # Errors
    /// If the connection has closed, and nothing of the request has left.
    pub(super) fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(unsent) = &mut self.unsent else { return Ok(()) };
        match unsent.poll_send(&mut self.socket, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.unsent = None,
            Poll::Ready(Err(error)) if !unsent.has_begun() => return Err(error),
            Poll::Ready(Err(error)) => {
                (self.unsent, self.broken) = (None, Some(disconnected(&error)));
            }
        }
        Ok(())
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut HeadReader,
    ) -> Poll<Result<Head, TransportError>> {
        loop {
            let took = |bytes: &[u8]| match bytes {
                [] => Err("the connection closed before the answer"),
                bytes => reader.take(bytes),
            };
            match ready!(self.poll_read(cx, took)) {
                Ok(Ok(Some(head))) => return Poll::Ready(Ok(head)),
                Ok(Ok(None)) => {}
                Ok(Err(problem)) => {
                    return Poll::Ready(Err(TransportError::disconnected(problem)));
                }
                Err(error) => return Poll::Ready(Err(disconnected(&error))),
            }
        }
    }

    /// Hands over what has come; no bytes at the end of the connection.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(take(read.filled())))
    }

    /// Whether it can take a request: it is open, and the upstream says nothing unasked. Wakes this
    /// one when that may have changed.
    pub(super) fn is_idle(&mut self, waker: &Waker) -> bool {
        if self.unsent.is_some() || self.broken.is_some() {
            return false;
        }
        let mut cx = Context::from_waker(waker);
        // A task that has used up its turn is told that nothing is there, whatever is.
        let unasked = unconstrained(poll_fn(|cx| self.poll_read(cx, |_unasked| ())));
        pin!(unasked).poll(&mut cx).is_pending()
    }

    /// Closes an idle connection by the rules: in TLS there is a word for it.
    pub(super) fn close(mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _closed_anyway = Pin::new(&mut self.socket).poll_shutdown(&mut cx);
    }
}

pub(super) fn disconnected(error: &io::Error) -> TransportError {
    TransportError::disconnected(cause::words(error))
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use tokio_util::either::Either;

    use super::*;

    /// A connection, and its peer.
    pub(in super::super) async fn link() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Link::new(Either::Left(socket)), listener.accept().await.unwrap().0)
    }

    /// As seen by a task that has used up its turn.
    async fn is_idle_at_the_end_of_a_turn(link: &mut Link) -> bool {
        poll_fn(|cx| {
            while let Poll::Ready(turn) = poll_proceed(cx) {
                turn.made_progress();
            }
            assert!(!has_budget_remaining());
            Poll::Ready(link.is_idle(Waker::noop()))
        })
        .await
    }

    #[tokio::test]
    async fn a_closed_connection_is_none_that_is_idle_however_busy_its_task_is() {
        let (mut link, peer) = link().await;
        assert!(is_idle_at_the_end_of_a_turn(&mut link).await);
        drop(peer);
        let Either::Left(socket) = &link.socket else { panic!("it is plain") };
        socket.readable().await.unwrap();
        assert!(!is_idle_at_the_end_of_a_turn(&mut link).await);
    }
}
