//! The protocols, as far as they are the same.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper_util::rt::TokioExecutor;

use super::exchange::Tracked;
use super::watch::Why;

/// A protocol at work. Resolves when it is done.
pub(crate) trait Conversation: Future<Output = Result<(), Self::Error>> {
    /// What breaks it off.
    type Error: Display;

    /// What to call its end by this error, if not one by the protocol.
    fn why(_: &Self::Error) -> Option<Why> {
        None
    }

    /// Takes no further requests, and ends after those that have begun.
    fn wind_down(self: Pin<&mut Self>);
}

impl<I, S> Conversation for http2::Connection<I, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = Tracked, Error = Infallible>,
    S::Future: 'static,
    I: Read + Write + Unpin,
    TokioExecutor: Http2ServerConnExec<S::Future, Tracked>,
{
    type Error = hyper::Error;

    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
