//! One HTTP/2 connection: set up so that a slow reader holds up no other stream.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;

use super::lanes::MAX_STREAMS;
use crate::cause;
use crate::connector::Socket;
use crate::transport::TransportError;

/// How many bytes of a stream the peer may send before the reader takes them.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams together: enough for every one of them, so that readers who are away
/// use up nobody else's share.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// When a connection with streams and without a word is asked whether it is still there, and how
/// long it may take to say so.
const PING_AFTER: Duration = Duration::from_secs(15);
const PING_LIMIT: Duration = Duration::from_secs(15);

/// Sends requests. Cheap to clone.
pub(super) type Sender = http2::SendRequest<Full<Bytes>>;
type Http2 = http2::Connection<TokioIo<Socket>, Full<Bytes>, Tasks>;

/// A connection to send requests on. When all of these and their senders are gone, it closes after
/// its last stream.
pub(super) struct Connection {
    sender: Sender,
    inner: Inner,
}

/// What has to be polled for the connection to go on.
pub(super) struct Driver {
    inner: Inner,
}

/// None once it has closed: only its end tells those who still wait on it.
type Inner = Arc<Mutex<Option<Http2>>>;

impl Connection {
    /// Begins to speak HTTP/2, and waits until the peer has said how many streams it allows.
    pub(super) async fn begin(socket: Socket) -> Result<(Self, Driver), TransportError> {
        let tasks = Tasks::default();
        let broken = |error: hyper::Error| TransportError::connect(cause::words(&error));
        let (sender, inner) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_LIMIT)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        tasks.greeted(|| inner.current_max_send_streams() > 0).await?;
        let inner = Arc::new(Mutex::new(Some(inner)));
        Ok((Self { sender, inner: Arc::clone(&inner) }, Driver { inner }))
    }

    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// How many streams the peer allows at once, by its latest word.
    pub(super) fn room(&self) -> usize {
        lock(&self.inner).as_ref().map_or(0, Http2::current_max_send_streams)
    }
}

impl Driver {
    /// Resolves when the connection takes no more requests. Why it does is told to each of them.
    pub(super) async fn closed(self) {
        poll_fn(|cx| match &mut *lock(&self.inner) {
            Some(inner) => Pin::new(inner).poll(cx).map(drop),
            None => Poll::Ready(()),
        })
        .await;
        let closed = lock(&self.inner).take();
        drop(closed);
    }
}

fn lock(inner: &Inner) -> MutexGuard<'_, Option<Http2>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the library's tasks. The first of them reads the peer's greeting, of which the library
/// tells nobody: so after each of its turns whoever waits for that looks again.
#[derive(Clone, Default)]
struct Tasks {
    shared: Arc<Greeting>,
}

#[derive(Default)]
struct Greeting {
    /// Nobody waits any longer.
    over: AtomicBool,
    /// The connection has ended before.
    ended: AtomicBool,
    turned: Notify,
}

impl Tasks {
    /// Waits until `seen` says so. The caller bounds the time.
    async fn greeted(&self, seen: impl Fn() -> bool) -> Result<(), TransportError> {
        let Greeting { over, ended, turned } = &*self.shared;
        loop {
            let turn = turned.notified();
            tokio::pin!(turn);
            turn.as_mut().enable();
            if seen() {
                over.store(true, Ordering::Relaxed);
                return Ok(());
            }
            if ended.load(Ordering::Acquire) {
                return Err(TransportError::connect("the connection closed before a greeting"));
            }
            turn.await;
        }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        let greeting = Arc::clone(&self.shared);
        let mut task = Box::pin(task);
        tokio::spawn(poll_fn(move |cx| {
            let polled = task.as_mut().poll(cx);
            if !greeting.over.load(Ordering::Relaxed) {
                greeting.ended.fetch_or(polled.is_ready(), Ordering::AcqRel);
                greeting.turned.notify_waiters();
            }
            polled.map(drop)
        }));
    }
}
