//! Takes connections, also when the process has no descriptor left for one.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::sparing::Sparing;
use super::turn_away::turn_away;
use super::watch::Why;
use crate::app::App;

/// How long to wait when accepting fails and nothing can be done: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A listener with a descriptor in reserve.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    /// Given up for a moment to take and close a connection that there is no descriptor for: left
    /// in the backlog, it would make accepting fail again at once, for ever.
    reserve: Option<File>,
    pause: Duration,
    trouble: Sparing,
    app: Arc<App>,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, app: Arc<App>) -> Self {
        let (reserve, trouble) = (reserve(), Sparing::default());
        Self { listener, reserve, pause: PAUSE.0, trouble, app }
    }

    /// The next connection. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    self.pause = PAUSE.0;
                    return (stream, plain(address));
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
        if let Some(times) = self.trouble.happens() {
            tracing::error!(r#type = "accept", error = %error, times, "cannot accept a connection");
        }
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
            Ok((stream, address)) => {
                turn_away(&self.app, &stream, address, Why::OutOfFiles);
                true
            }
            Err(_) => false,
        }
    }
}

/// Asks the kernel, not tokio, which may not have heard of it yet.
fn take(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    let address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((TcpStream::from_std(socket.into())?, plain(address)))
}

/// A socket for both families shows IPv4 addresses within IPv6. From here on they are what they are.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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
