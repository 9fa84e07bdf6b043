//! Takes connections, and lets them finish.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sd_notify::NotifyState;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::service;
use crate::status::Status;

/// Of a request's head; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// A head may not be larger than this, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Data that a client does not acknowledge for so long ends its connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How often the status is logged.
const STATUS_EVERY: Duration = Duration::from_secs(30);
/// How long to let streams tell their clients that they are cut off.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Listens on an address.
///
/// # Errors
/// If the port is taken or not allowed; the message names the address.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listen = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|error| {
        let message = format!("cannot listen on {address} (HOST, PORT): {error}");
        std::io::Error::new(error.kind(), message)
    })
}

/// Serves until `stop` resolves; then takes nothing new and lets running requests finish.
///
/// After `stop`: serves on for the delay, refuses new work, waits for the grace, tells the
/// remaining streams that they are cut off, and returns.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    // Ended with the set, when this returns.
    let mut chores = JoinSet::new();
    chores.spawn(tell_status(app.clone()));
    let (draining, drain) = watch::channel(false);
    let mut connections = JoinSet::new();
    notify(&[NotifyState::Ready]);
    let delayed_stop = async {
        stop.await;
        app.stopping.store(true, Relaxed);
        notify(&[NotifyState::Stopping]);
        sleep(app.live().shutdown.delay).await;
    };
    tokio::pin!(delayed_stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, app.clone(), drain.clone()));
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut delayed_stop => break,
        }
    }
    drop(listener);
    app.drain();
    draining.send_replace(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    tokio::pin!(all_done);
    if timeout(app.live().shutdown.grace, &mut all_done).await.is_err() {
        tracing::warn!(
            r#type = "shutdown",
            cut_off = app.in_flight(),
            "the grace is over: remaining requests are cut off"
        );
        app.out_of_time.send_replace(true);
        let _ = timeout(LAST_WORDS, &mut all_done).await;
    }
}

/// One connection, from its first byte to its last. Ends early only between requests.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    mut drain: watch::Receiver<bool>,
) {
    let _counted = Counted::new(&app.connections);
    let socket = SockRef::from(&stream);
    // A socket that cannot be set up has been closed by its peer; serving it ends at once.
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let for_service = app.clone();
    let service = service_fn(move |request| {
        let app = for_service.clone();
        async move { Ok::<_, Infallible>(service::handle(app, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let told_to_drain = async {
        // The guard that this gives must not live on.
        let _ = drain.wait_for(|draining| *draining).await;
    };
    let ended = tokio::select! {
        outcome = &mut connection => Some(outcome),
        () = told_to_drain => None,
    };
    let outcome = match ended {
        Some(outcome) => outcome,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(r#type = "connection", error = %error, "a connection ended early");
    }
}

/// Logs a line of the status from time to time, if the settings want it.
async fn tell_status(app: Arc<App>) {
    loop {
        sleep(STATUS_EVERY).await;
        let live = app.live();
        if live.metrics && live.log.requests {
            app.log.line(&Status::of(&app, &live).line());
        }
    }
}

/// Counts a connection for as long as it is open.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(connections: &'a AtomicUsize) -> Self {
        connections.fetch_add(1, Relaxed);
        Self(connections)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Tells systemd, if it started the gateway with `Type=notify`.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(r#type = "systemd", error = %error, "cannot notify systemd");
    }
}

/// Out of sockets or memory, accepting fails again at once: wait a little instead of spinning.
async fn pause_after(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset) {
        tracing::error!(r#type = "accept", error = %error, "cannot accept a connection");
        sleep(Duration::from_millis(100)).await;
    }
}
