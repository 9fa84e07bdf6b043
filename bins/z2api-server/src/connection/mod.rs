//! One client connection, from its first byte to its last.
//!
//! The protocol runs in the middle. Beside it are watched, whatever the protocol is busy with: the
//! deadlines, the peer's hang-up, and the gateway's own stop. A peer that closes its sending side
//! has hung up: it cannot be told from one that is gone, and an answer costs.

mod ahead;
mod conversation;
mod descriptors;
mod door;
mod ended;
mod exchange;
mod gate;
mod head;
mod http1;
mod linger;
mod proper;
mod refusals;
mod refusing;
mod sending;
mod shared;
mod sides;
mod sparing;
mod talk;
mod turn_away;
mod unasked;
mod watch;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;

use crate::app::App;
use crate::memory::Rung;
use ended::Ended;
use linger::linger;
use refusals::{Refused, note};
use talk::Talk;
use watch::Watch;

pub(crate) use descriptors::Descriptors;
pub(crate) use door::Door;
pub(crate) use exchange::{Entrance, Peer};
pub(crate) use gate::{Caps, Gate, OPERATORS, Place, RESERVE, Standing};
pub(crate) use proper::check as check_request;
pub(crate) use refusals::Refusals;
pub(crate) use turn_away::turn_away;
pub(crate) use watch::{LAST_WORDS, Why};

/// How much of what a client has not got may wait in the kernel unsent, in bytes. More would only
/// hide from the gateway that the client is slow.
const MAX_UNSENT: u32 = 32 * 1024;
/// A peer that says nothing is asked whether it is there: after so long, so often, so many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// A connection beyond the limit must say quickly what it wants.
const CROWDED_HEAD: Duration = Duration::from_secs(2);

/// Serves a connection until it ends. Dropping the future drops the connection.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    entrance: Entrance,
    place: Place,
    app: Arc<App>,
    mut draining: Receiver<bool>,
) {
    let live = app.live();
    let mut peers = live.peers.clone();
    if place.standing == Standing::Crowded {
        peers.head = peers.head.min(CROWDED_HEAD);
    }
    if app.memory.rung() >= Rung::Tight {
        peers.head /= 2;
        peers.idle /= 2;
    }
    let watch = Arc::new(Watch::new(&peers, &live.limits));
    // The settings must not be held for as long as the connection lives.
    drop(live);
    set_up(&stream, peers.stall);
    let peer = Peer { address, entrance, standing: place.standing };
    let talk = Talk { stream: &stream, watch: &watch, app: &app, peer, draining: &draining };
    let ended = match peers.tls {
        // Boxed: a plain connection need not be as large as a secure one.
        Some(tls) => Box::pin(talk.in_tls(tls.config)).await,
        None => talk.in_plain(peers.http2).await,
    };
    let gently = match ended {
        Ended::ByProtocol => true,
        Ended::Dropped(why) => {
            note(&app, address, why, &Refused::default());
            matches!(why, Why::SlowHead | Why::Idle | Why::Old)
        }
        Ended::Refused(why, refused) => {
            note(&app, address, why, &refused);
            true
        }
    };
    if gently {
        linger(&stream, &mut draining).await;
    }
}

/// A socket that cannot be set up has been closed by its peer; serving it ends at once.
fn set_up(stream: &TcpStream, stall: Duration) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let (after, every, times) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(after).with_interval(every).with_retries(times);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    {
        let _ = socket.set_tcp_user_timeout(Some(stall));
        let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function of six promises, in bytes.
    fn promised<A, B, C, D, E, F, P>(_: impl FnOnce(A, B, C, D, E, F) -> P) -> usize {
        size_of::<P>()
    }

    /// An open stream holds this all the time. Measured: `benches/README.md`.
    #[test]
    fn a_connection_is_no_larger_than_2_kib() {
        let size = promised(serve);
        assert!(size <= 2048, "{size}");
    }
}
