//! What may happen beside a conversation, and does not wait for it.

use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::task::coop::unconstrained;

use super::ended::gone;
use super::watch::{Watch, Why};
use crate::memory::Rung;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The connection must be dropped.
    Drop(Why),
    /// The gateway takes no new work any more.
    Drain,
    /// Memory is too short for connections that are not needed.
    Tight,
}

/// Waits for the first of it; for the gateway's stop and for a shortage only where their receivers
/// are given.
pub(crate) async fn side(
    stream: &TcpStream,
    watch: &Watch,
    draining: Option<Receiver<bool>>,
    rungs: Option<Receiver<Rung>>,
) -> Side {
    let first = async {
        tokio::select! {
            why = hang_up(stream, watch) => Side::Drop(why),
            why = watch.expired() => Side::Drop(why),
            () = wait_for(draining, |draining| *draining) => Side::Drain,
            () = wait_for(rungs, |rung| *rung >= Rung::Tight) => Side::Tight,
        }
    };
    // Where both sides keep up, each turn of the task is used up by the conversation.
    unconstrained(first).await
}

/// Resolves when the peer has closed its side or the kernel has given it up, whatever it has sent before and nobody has read:
/// hyper notices only once it has read all of that.
#[cfg(any(target_os = "linux", target_os = "android"))]
async fn hang_up(stream: &TcpStream, watch: &Watch) -> Why {
    loop {
        // Of all interests only this one is not met by bytes to read, but by the end of them.
        match stream.ready(tokio::io::Interest::PRIORITY).await {
            Ok(ready) if !ready.is_read_closed() => tokio::task::yield_now().await,
            Ok(_) | Err(_) => {
                // Whoever reads or writes can have been told before.
                let error = stream.take_error().ok().flatten();
                let how = error.map_or(Why::HungUp, |error| gone(error.kind(), watch));
                return watch.breaks(how);
            }
        }
    }
}

/// Elsewhere it is noticed once hyper has read what came before it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
async fn hang_up(_: &TcpStream, _: &Watch) -> Why {
    std::future::pending().await
}

async fn wait_for<T>(told: Option<Receiver<T>>, what: impl FnMut(&T) -> bool) {
    match told {
        // The guard that this gives must not live on. An error: the server is gone, and so are we.
        Some(mut told) => drop(told.wait_for(what).await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use tokio::net::TcpListener;
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use z2api_config::{Config, Flags};

    use super::*;

    #[tokio::test]
    async fn a_conversation_that_uses_up_each_turn_does_not_hide_what_happens_beside_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let config = Config::from_lookup(&Flags::default(), &|_| None).unwrap();
        let watch = Watch::new(&config.peers, &config.limits);
        let (drain, draining) = tokio::sync::watch::channel(false);
        let mut beside = pin!(side(&stream, &watch, Some(draining), None));
        let mut turn = async || {
            poll_fn(|cx| {
                while let Poll::Ready(turn) = poll_proceed(cx) {
                    turn.made_progress();
                }
                assert!(!has_budget_remaining());
                Poll::Ready(beside.as_mut().poll(cx))
            })
            .await
        };
        assert!(turn().await.is_pending());
        drain.send(true).unwrap();
        assert_eq!(turn().await, Poll::Ready(Side::Drain));
    }
}
