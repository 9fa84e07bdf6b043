//! Ends a connection so that the peer gets what was sent last.
//!
//! Closing a socket whose peer still sends resets the connection, and a reset destroys what the
//! peer has not read yet: the very answer that refuses its request. So the gateway closes its own
//! side, and throws away what comes until the peer closes too.

use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long the peer may take to see the end.
const WHILE_SERVING: Duration = Duration::from_secs(2);
/// The same while the gateway stops: nobody waits for a peer that is merely asleep.
const WHILE_STOPPING: Duration = Duration::from_millis(250);
/// No more than this is thrown away, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// Closes our side and waits for the peer's; not long, and not while the gateway stops.
pub(crate) async fn linger(stream: &TcpStream, draining: &mut watch::Receiver<bool>) {
    if SockRef::from(stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    let stopping = async {
        let _ = draining.wait_for(|draining| *draining).await;
        sleep(WHILE_STOPPING).await;
    };
    tokio::select! {
        () = throw_away(stream) => {}
        () = sleep(WHILE_SERVING) => {}
        () = stopping => {}
    }
}

async fn throw_away(stream: &TcpStream) {
    // On the heap: every connection would carry it along otherwise.
    let mut scratch = vec![0; 16 * 1024];
    let mut left = MOST;
    while left > 0 && stream.readable().await.is_ok() {
        match stream.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(bytes) => left = left.saturating_sub(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Whether bytes have come that nobody has read.
pub(crate) fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    // Asks the kernel, not tokio: of a new socket tokio has not heard yet.
    matches!(SockRef::from(stream).peek(&mut byte), Ok(bytes) if bytes > 0)
}
