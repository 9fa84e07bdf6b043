//! HTTP/1 on one connection: hyper reads requests and writes short answers; streams go out by
//! themselves, and hyper's part of the connection is not there meanwhile.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ahead::{Ahead, Flushed};
use super::conversation::Conversation;
use super::exchange::{Peer, Tracked, exchange};
use super::sending::Sending;
use super::watch::{Watch, Why};
use crate::app::App;

/// A head may not be larger than this, in bytes.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// A client that is gone while nothing is read from it is noticed on these systems only.
const NOTICES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The conversation.
pub(crate) struct Http1<I> {
    service: Service,
    flushed: Flushed,
    state: State<I>,
    /// No further request is taken.
    winds_down: bool,
    is_secure: bool,
}

enum State<I> {
    // Boxed, so that the room of one is free while the other is there.
    Asking(Box<Connection<TokioIo<Ahead<I>>, Service>>),
    Sending(Box<Sending<I>>),
    Over,
}

impl<I: AsyncRead + AsyncWrite + Unpin> State<I> {
    /// Heads have their deadline in the watch, which also sees one that never begins.
    fn asking(io: Ahead<I>, service: Service) -> Self {
        let asking = Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), service);
        Self::Asking(Box::new(asking))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Http1<I> {
    pub(crate) fn new(io: Ahead<I>, service: Service, is_secure: bool) -> Self {
        let flushed = io.flushed();
        let state = State::asking(io, service.clone());
        Self { service, flushed, state, winds_down: false, is_secure }
    }

    fn send(&mut self, mut answer: Response<Tracked>) {
        let State::Asking(asking) = std::mem::replace(&mut self.state, State::Over) else { return };
        let parts = asking.into_parts();
        let mut io = parts.io.into_inner();
        io.put_back(&parts.read_buf);
        if self.winds_down {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.state = State::Sending(Box::new(Sending::new(io, answer, self.is_secure)));
    }

    fn ask(&mut self) {
        let State::Sending(sent) = std::mem::replace(&mut self.state, State::Over) else { return };
        self.state = State::asking(sent.io, self.service.clone());
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Http1<I> {
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Asking(asking) => {
                    if let Poll::Ready(ended) = Pin::new(asking.as_mut()).poll(cx) {
                        return Poll::Ready(ended.map_err(Into::into));
                    }
                    // hyper takes what it has not written along with it: earlier answers.
                    if !this.flushed.is_so() {
                        return Poll::Pending;
                    }
                    let Some(answer) = this.service.take() else { return Poll::Pending };
                    this.send(*answer);
                }
                State::Sending(sending) => {
                    if ready!(sending.poll_sent(cx))? {
                        this.state = State::Over;
                    } else {
                        this.ask();
                    }
                }
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Conversation for Http1<I> {
    type Error = Box<dyn Error + Send + Sync>;

    fn why(error: &Self::Error) -> Option<Why> {
        match error.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::UnexpectedEof => Some(Why::HungUp),
            // Of the kernel (TCP_USER_TIMEOUT): nothing that was sent was acknowledged.
            io::ErrorKind::TimedOut => Some(Why::Stalled),
            _ => None,
        }
    }

    fn wind_down(self: Pin<&mut Self>) {
        let this = self.get_mut();
        this.winds_down = true;
        match &mut this.state {
            State::Asking(asking) => Pin::new(asking.as_mut()).graceful_shutdown(),
            State::Sending(sending) => sending.close_at_end(),
            State::Over => {}
        }
    }
}

/// Answers hyper's requests; but streams are laid aside, for the connection to take.
#[derive(Clone)]
pub(crate) struct Service {
    app: Arc<App>,
    peer: Peer,
    watch: Arc<Watch>,
    aside: Arc<Mutex<Option<Box<Response<Tracked>>>>>,
}

impl Service {
    pub(crate) fn new(app: Arc<App>, peer: Peer, watch: Arc<Watch>) -> Self {
        Self { app, peer, watch, aside: Arc::default() }
    }

    /// Never returns with a stream that is laid aside: hyper is dropped with this future in it.
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Tracked>, Infallible> {
        let method = request.method().clone();
        let answer = exchange(self.app, self.peer, self.watch, request).await?;
        // Of a POST that is answered by a stream the whole body has been read. In HTTP/1.0 there
        // are no chunks.
        let fits = method == Method::POST && answer.version() == Version::HTTP_11;
        if !(NOTICES && fits && answer.body().is_stream()) {
            return Ok(answer);
        }
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(answer));
        pending().await
    }

    fn take(&self) -> Option<Box<Response<Tracked>>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Tracked>;
    type Error = Infallible;
    /// Boxed: hyper keeps room for this future as long as the connection lives. It is large, and
    /// over once an answer's head is there.
    type Future = BoxFuture<'static, Result<Response<Tracked>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}
