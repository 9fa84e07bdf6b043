//! HTTP/1 on one connection: hyper reads requests and writes short answers; streams go out by
//! themselves, and hyper's part of the connection is not there meanwhile.

use std::convert::Infallible;
use std::fmt;
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
use super::ended::Ended;
use super::exchange::{Peer, Tracked, exchange};
use super::refusals::Refused;
use super::refusing::Refusing;
use super::sending::Sending;
use super::unasked::Unasked;
use super::watch::{Watch, Why};
use crate::app::App;
use crate::error::ApiError;

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
    Asking(Box<Connection<TokioIo<Unasked<Ahead<I>>>, Service>>),
    Sending(Box<Sending<I>>),
    Refusing(Box<Refusing<Ahead<I>>>),
    Over,
}

/// What breaks the conversation off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// hyper says so.
    Asking(hyper::Error),
    /// The socket says so while an answer is sent.
    Sending(io::Error),
    /// What came was no request, and was answered so.
    Refused(Why, Box<Refused>),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asking(error) => error.fmt(f),
            Self::Sending(error) => error.fmt(f),
            Self::Refused(why, _) => f.write_str(why.as_str()),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> State<I> {
    /// Heads have their deadline in the watch, which also sees one that never begins.
    fn asking(io: Ahead<I>, service: Service) -> Self {
        let asking = Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Unasked::new(io, service.watch.clone())), service);
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
        let (mut io, _) = parts.io.into_inner().into_parts();
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

    /// hyper's part has ended so. Where it would have answered by itself, we do.
    fn end(&mut self, error: hyper::Error) -> Option<Broken> {
        let watch = &self.service.watch;
        let State::Asking(asking) = std::mem::replace(&mut self.state, State::Over) else {
            return Some(Broken::Asking(error));
        };
        let (io, kept_back) = asking.into_parts().io.into_inner().into_parts();
        match Ended::by_hyper(&error, watch) {
            Ended::Refused(why, refused) if kept_back => {
                let error = if why == Why::HeadTooLarge {
                    ApiError::head_too_large(MAX_HEAD)
                } else {
                    ApiError::malformed(&refused.reason)
                };
                self.refuse(io, why, refused, &error);
                None
            }
            Ended::Refused(..) | Ended::Dropped(_) | Ended::ByProtocol => {
                Some(Broken::Asking(error))
            }
        }
    }

    fn refuse(&mut self, io: Ahead<I>, why: Why, refused: Box<Refused>, error: &ApiError) {
        let Service { app, watch, .. } = &self.service;
        let refusing = Refusing::new(io, app, watch, why, refused, error);
        self.state = State::Refusing(Box::new(refusing));
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Http1<I> {
    type Output = Result<(), Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Asking(asking) => {
                    if let Poll::Ready(ended) = Pin::new(asking.as_mut()).poll(cx) {
                        let Err(error) = ended else { return Poll::Ready(Ok(())) };
                        match this.end(error) {
                            Some(broken) => return Poll::Ready(Err(broken)),
                            None => continue,
                        }
                    }
                    // hyper takes what it has not written along with it: earlier answers.
                    if !this.flushed.is_so() {
                        return Poll::Pending;
                    }
                    let Some(answer) = this.service.take() else { return Poll::Pending };
                    this.send(*answer);
                }
                State::Sending(sending) => {
                    if ready!(sending.poll_sent(cx)).map_err(Broken::Sending)? {
                        this.state = State::Over;
                    } else {
                        this.ask();
                    }
                }
                State::Refusing(refusing) => {
                    let (why, refused) = ready!(refusing.poll_told(cx));
                    this.state = State::Over;
                    return Poll::Ready(Err(Broken::Refused(why, refused)));
                }
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Conversation for Http1<I> {
    type Error = Broken;

    fn ended(broken: Broken, watch: &Watch) -> Ended {
        match broken {
            Broken::Asking(error) => Ended::by_hyper(&error, watch),
            Broken::Sending(error) => Ended::by_socket(&error, watch),
            Broken::Refused(why, refused) => Ended::Refused(why, refused),
        }
    }

    fn gives_up_head(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        let asking = match std::mem::replace(&mut this.state, State::Over) {
            State::Asking(asking) => asking,
            other @ (State::Sending(_) | State::Refusing(_) | State::Over) => {
                this.state = other;
                return false;
            }
        };
        let (io, _) = asking.into_parts().io.into_inner().into_parts();
        let error = ApiError::slow_head(this.service.watch.head_limit());
        this.refuse(io, Why::SlowHead, Box::default(), &error);
        true
    }

    fn wind_down(self: Pin<&mut Self>) {
        let this = self.get_mut();
        this.winds_down = true;
        match &mut this.state {
            State::Asking(asking) => Pin::new(asking.as_mut()).graceful_shutdown(),
            State::Sending(sending) => sending.close_at_end(),
            State::Refusing(_) | State::Over => {}
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
