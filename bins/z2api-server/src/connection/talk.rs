//! Finds out what the peer speaks, and lets that run with an eye on what is beside it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio_rustls::TlsAcceptor;
use z2api_observability::RequestId;

use super::ahead::Ahead;
use super::conversation::Conversation;
use super::ended::Ended;
use super::exchange::{Peer, exchange};
use super::http1::{Http1, MAX_HEAD, Service};
use super::linger::has_unread;
use super::refusals::Refused;
use super::sides::{Side, side};
use super::turn_away::{last_words, tell};
use super::watch::{Watch, Why};
use super::wire::Wire;
use crate::app::App;
use crate::error::ApiError;
use crate::memory::Rung;

/// How many requests one HTTP/2 connection may have at once.
const MAX_STREAMS: u32 = 100;
/// How many streams may be reset before they were looked at; more is a flood.
const MAX_RESETS: usize = 20;
/// How often a peer that speaks HTTP/2 is asked whether it is there, and how long it may think.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// All that a conversation needs.
#[derive(Clone, Copy)]
pub(crate) struct Talk<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) watch: &'a Arc<Watch>,
    pub(crate) app: &'a Arc<App>,
    pub(crate) peer: Peer,
    pub(crate) draining: &'a Receiver<bool>,
}

impl<'a> Talk<'a> {
    /// HTTP/1, or HTTP/2 if it is allowed and the peer begins with it.
    pub(crate) async fn in_plain(self, http2: bool) -> Ended {
        let mut wire = Ahead::new(self.wire());
        if http2 {
            let is_http2 = match self.first(wire.begins_http2()).await {
                Ok(Ok(is_http2)) => is_http2,
                Ok(Err(error)) => return Ended::by_socket(&error, self.watch),
                Err(ended) => return self.told(ended),
            };
            if is_http2 {
                return Box::pin(self.in_http2(wire)).await;
            }
        }
        self.in_http1(wire, false).await
    }

    /// TLS, and within it what the two sides agree on.
    pub(crate) async fn in_tls(self, config: Arc<ServerConfig>) -> Ended {
        let handshake = TlsAcceptor::from(config).accept(self.wire());
        let secured = match self.first(handshake).await {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => return Ended::by_handshake(&error, self.watch),
            Err(ended) => return ended,
        };
        if secured.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.in_http2(secured).await
        } else {
            self.in_http1(Ahead::new(secured), true).await
        }
    }

    async fn in_http1(
        self,
        io: Ahead<impl AsyncRead + AsyncWrite + Unpin>,
        is_secure: bool,
    ) -> Ended {
        let service = Service::new(self.app.clone(), self.peer, self.watch.clone());
        self.drive(pin!(Http1::new(io, service, is_secure))).await
    }

    async fn in_http2(self, io: impl AsyncRead + AsyncWrite + Unpin) -> Ended {
        self.watch.multiplexed();
        let (app, peer, watch) = (self.app.clone(), self.peer, self.watch.clone());
        let service = service_fn(move |request| {
            Box::pin(exchange(app.clone(), peer, watch.clone(), request))
        });
        let conversation = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING.0))
            .keep_alive_timeout(PING.1)
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), service);
        self.drive(pin!(conversation)).await
    }

    /// Runs until the end, and tells it to what is still open then.
    async fn drive<C: Conversation>(self, conversation: Pin<&mut C>) -> Ended {
        let ended = self.run(conversation).await;
        match &ended {
            Ended::ByProtocol => {}
            Ended::Dropped(why) | Ended::Refused(why, _) => self.watch.drops(*why),
        }
        self.watch.nothing_leaves();
        ended
    }

    async fn run<C: Conversation>(self, mut conversation: Pin<&mut C>) -> Ended {
        let (mut draining, mut rungs) = (Some(self.draining.clone()), self.rungs());
        // Polled when it is woken, and not with every event of a stream. Boxed, since the set keeps
        // room for one more than are in it.
        let mut beside = FuturesUnordered::new();
        loop {
            if beside.is_empty() {
                let (draining, rungs) = (draining.clone(), rungs.clone());
                beside.push(Box::pin(side(self.stream, self.watch, draining, rungs)));
            }
            let happened = tokio::select! {
                biased;
                outcome = &mut conversation => {
                    let Err(error) = outcome else {
                        return Ended::ByProtocol.told_by_socket(self.watch);
                    };
                    tracing::debug!(r#type = "conversation", error = %error, "ended early");
                    return C::ended(error, self.watch).told_by_socket(self.watch);
                }
                Some(happened) = beside.next() => happened,
            };
            match happened {
                Side::Drop(Why::Old) => {
                    self.watch.retire();
                    conversation.as_mut().wind_down();
                }
                Side::Drop(Why::SlowHead) if conversation.as_mut().gives_up_head() => {}
                Side::Drop(why) => return Ended::Dropped(why),
                Side::Drain | Side::Tight => {
                    if happened == Side::Drain {
                        draining = None;
                    }
                    rungs = None;
                    if !self.may_ask_still() {
                        conversation.as_mut().wind_down();
                    }
                }
            }
        }
    }

    /// What comes before the protocol. The end, if the connection ends first.
    async fn first<T>(&self, first: impl Future<Output = T>) -> Result<T, Ended> {
        let mut first = pin!(first);
        let mut draining = Some(self.draining.clone());
        loop {
            let happened = tokio::select! {
                biased;
                outcome = &mut first => return Ok(outcome),
                happened = side(self.stream, self.watch, draining.clone(), None) => happened,
            };
            match happened {
                Side::Drop(why) => return Err(Ended::Dropped(why)),
                Side::Drain if self.may_ask_still() || !self.watch.is_idle() => draining = None,
                Side::Drain | Side::Tight => return Err(Ended::ByProtocol),
            }
        }
    }

    /// Answers what ended before its protocol was known, in the plainest one.
    fn told(self, ended: Ended) -> Ended {
        let Ended::Dropped(Why::SlowHead) = ended else { return ended };
        let (id, took) = (RequestId::random(), self.watch.head_took());
        let error = ApiError::slow_head(self.watch.head_limit());
        tell(self.stream, &last_words(self.app, &error, &id, took));
        Ended::Refused(Why::SlowHead, Box::new(Refused { reason: String::new(), id: Some(id) }))
    }

    /// Tells of a shortage of memory. None if there is one already: whoever is let in then gets an
    /// answer.
    fn rungs(&self) -> Option<Receiver<Rung>> {
        let rungs = self.app.memory.rungs();
        let calm = *rungs.borrow() < Rung::Tight;
        calm.then_some(rungs)
    }

    /// When the gateway stops, or is short of memory: whether a request has come that is not read
    /// yet, or must come for the peer has just connected. It is answered, and the connection closed
    /// with that. A peer that has had its answers is let go at once.
    fn may_ask_still(&self) -> bool {
        self.watch.hurry();
        self.watch.is_fresh() || (self.watch.is_idle() && has_unread(self.stream))
    }

    fn wire(&self) -> Wire<'a> {
        Wire::new(self.stream, self.watch.clone())
    }
}
