//! Takes connections, also when the process has no descriptor left for one.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::turn_away::turn_away;

/// How long to wait when accepting fails and nothing can be done: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Trouble is told no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A listener with a descriptor in reserve.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    /// Given up for a moment to take and close a connection that there is no descriptor for: left
    /// in the backlog, it would make accepting fail again at once, for ever.
    reserve: Option<File>,
    pause: Duration,
    trouble: Trouble,
}

/// Failures that have not been told yet.
#[derive(Debug, Default)]
struct Trouble {
    untold: u64,
    told: Option<Instant>,
}

impl Door {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, reserve: reserve(), pause: PAUSE.0, trouble: Trouble::default() }
    }

    /// The next connection. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.pause = PAUSE.0;
                    return accepted;
                }
                // Gone before it was taken.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => self.cope(&error).await,
            }
        }
    }

    /// The connections that have been made already, without waiting for more.
    pub(crate) fn backlog(&mut self) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
        std::iter::from_fn(|| take(&self.listener).ok())
    }

    async fn cope(&mut self, error: &io::Error) {
        self.trouble.note(error);
        let turned_away = is_out_of_descriptors(error) && self.turn_one_away();
        if !turned_away {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
    }

    /// Whether one could be taken: another thread may have been quicker to use the descriptor.
    fn turn_one_away(&mut self) -> bool {
        drop(self.reserve.take());
        match take(&self.listener) {
            Ok((stream, _)) => {
                turn_away(&stream, true);
                true
            }
            Err(_) => false,
        }
    }
}

impl Trouble {
    fn note(&mut self, error: &io::Error) {
        self.untold += 1;
        let now = Instant::now();
        if self.told.is_none_or(|told| now - told >= TELL_EVERY) {
            let times = std::mem::take(&mut self.untold);
            self.told = Some(now);
            tracing::error!(r#type = "accept", error = %error, times, "cannot accept a connection");
        }
    }
}

/// Asks the kernel, not tokio, which may not have heard of it yet.
fn take(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    let address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((TcpStream::from_std(socket.into())?, address))
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
