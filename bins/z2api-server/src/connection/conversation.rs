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

use super::ended::Ended;
use super::exchange::Tracked;
use super::watch::Watch;

/// A protocol at work. Resolves when it is done.
pub(crate) trait Conversation: Future<Output = Result<(), Self::Error>> {
    /// What breaks it off.
    type Error: Display;

    /// How that ends it.
    fn ended(error: Self::Error, watch: &Watch) -> Ended;

    /// Answers a head that did not come in time, and ends with that. Whether it can.
    fn gives_up_head(self: Pin<&mut Self>) -> bool {
        false
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

    fn ended(error: hyper::Error, watch: &Watch) -> Ended {
        Ended::by_hyper(&error, watch)
    }

    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
