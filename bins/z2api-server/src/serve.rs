//! Takes connections, and lets them finish.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::{Stream, StreamExt};
use sd_notify::NotifyState;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::Level;

use crate::admin;
use crate::app::App;
use crate::connection::{self, Door, Entrance, LAST_WORDS, Why, turn_away};
use crate::dashboard::keep_past;
use crate::listener::Listener;
use crate::memory::watch_memory;
use crate::status::Status;
use crate::workers::Workers;

/// How often the status is logged.
const STATUS_EVERY: Duration = Duration::from_secs(30);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Ended {
    /// Requests that were cut off: they were told so, or their clients did not read.
    pub cut: usize,
}

impl Ended {
    /// The exit code when requests were cut off.
    pub const CUT: u8 = 3;
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        if ended.cut == 0 { Self::SUCCESS } else { Self::from(Ended::CUT) }
    }
}

/// Serves until `stops` yields; then takes nothing new and lets running requests finish. Connections
/// are taken here, and run where the workers say; those of the operator run here.
///
/// After the first stop: serves on for the delay, refuses new work, waits for the grace, tells the
/// remaining requests that they are cut off, and returns. After the second: tells them at once.
pub async fn serve(
    mut listener: Listener,
    app: Arc<App>,
    workers: Workers,
    stops: impl Stream<Item = ()>,
) -> Ended {
    app.runtimes.get_or_init(|| workers.runtimes().chain([Handle::current()]).collect());
    // Ended with the set, when this returns.
    let mut chores = JoinSet::new();
    chores.spawn(tell_status(app.clone()));
    if let Some(socket) = listener.admin.take() {
        chores.spawn(admin::take(socket, app.clone()));
    }
    chores.spawn(watch_memory(app.clone()));
    chores.spawn(keep_past(app.clone()));
    let mut stops = pin!(stops.fuse());
    let draining = watch::Sender::new(false);
    let mut server = Server { app, workers, draining, connections: JoinSet::new() };
    notify(&[NotifyState::Ready]);
    let hurried = server.open(listener, stops.as_mut()).await;
    let ended = if hurried || !server.finish(stops).await {
        server.cut_off().await
    } else {
        Ended { cut: 0 }
    };
    send_last_spans(&server.app).await;
    ended
}

/// Sends what the requests have left for their traces, for a moment at most.
async fn send_last_spans(app: &App) {
    if let Some(tracer) = app.tracer.clone() {
        // It blocks, and ends by its own clock.
        let _ = tokio::task::spawn_blocking(move || tracer.finish()).await;
    }
}

struct Server {
    app: Arc<App>,
    workers: Workers,
    draining: watch::Sender<bool>,
    connections: JoinSet<()>,
}

impl Server {
    /// Takes connections until it is told to stop and the delay is over. Whether it was told twice.
    async fn open(
        &mut self,
        listener: Listener,
        mut stops: Pin<&mut impl Stream<Item = ()>>,
    ) -> bool {
        let mut door = Door::new(listener.socket, self.app.clone());
        tokio::select! {
            () = self.take_from(&mut door) => {}
            () = next(stops.as_mut()) => {}
        }
        self.app.stopping.store(true, Relaxed);
        notify(&[NotifyState::Stopping]);
        let delay = self.app.live().shutdown.delay;
        let hurried = tokio::select! {
            () = self.take_from(&mut door) => false,
            () = sleep(delay) => false,
            () = next(stops) => true,
        };
        // Behind a shared listener stands a successor, which takes who waits there; who was taken
        // here is served here. Nobody is refused.
        if !listener.is_shared {
            // Closing the listener would reset those who wait at it.
            for (stream, address) in door.backlog() {
                self.admit(stream, address);
            }
        }
        drop(door);
        if !listener.is_shared {
            self.app.drain();
        }
        self.draining.send_replace(true);
        hurried
    }

    /// Takes connections, for ever.
    async fn take_from(&mut self, door: &mut Door) {
        loop {
            tokio::select! {
                (stream, address) = door.next() => self.admit(stream, address),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, address: SocketAddr) {
        match self.app.place_for(address.ip()) {
            Some(place) => {
                let (app, draining) = (self.app.clone(), self.draining.subscribe());
                self.workers.spawn(&mut self.connections, stream, move |stream| {
                    connection::serve(stream, address, Entrance::Public, place, app, draining)
                });
            }
            None => turn_away(&self.app, &stream, address, Why::TooMany),
        }
    }

    /// Waits for what runs, within the grace and until it is told to hurry. Whether all is done.
    async fn finish(&mut self, stops: Pin<&mut impl Stream<Item = ()>>) -> bool {
        let grace = self.app.live().shutdown.grace;
        tokio::select! {
            () = all(&mut self.connections) => true,
            () = sleep(grace) => false,
            () = next(stops) => false,
        }
    }

    /// Tells what runs that it is cut off, and drops what does not listen.
    async fn cut_off(&mut self) -> Ended {
        let cut = self.app.in_flight();
        tracing::warn!(
            r#type = "shutdown",
            cut_off = cut,
            "the grace is over: remaining requests are cut off"
        );
        self.app.drain();
        self.app.out_of_time.send_replace(true);
        let _ = timeout(LAST_WORDS, all(&mut self.connections)).await;
        // Once it is dropped, a request has written its record.
        let _ = timeout(LAST_WORDS, self.connections.shutdown()).await;
        Ended { cut }
    }
}

async fn all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// The next stop; never, if there will be none.
async fn next(mut stops: Pin<&mut impl Stream<Item = ()>>) {
    if stops.next().await.is_none() {
        pending::<()>().await;
    }
}

/// Logs a line of the status from time to time, if the settings want it.
async fn tell_status(app: Arc<App>) {
    loop {
        sleep(STATUS_EVERY).await;
        let live = app.live();
        if live.metrics && live.log.requests {
            app.log.line(Level::INFO, &Status::of(&app, &live).line());
        }
    }
}

/// Tells systemd, if it started the gateway with `Type=notify`.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(r#type = "systemd", error = %error, "cannot notify systemd");
    }
}
