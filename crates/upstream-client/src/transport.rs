//! The seam to an HTTP library: one request in, the head of an answer and its body out.

use std::pin::Pin;

use ::http::{Request, Response};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Error;

/// The body of an answer, read no faster than it is polled. Dropping it before its end closes the
/// connection.
pub type Body = Pin<Box<dyn http_body::Body<Data = Bytes, Error = TransportError> + Send>>;

/// Carries requests to the upstream. [`Client::new`](crate::Client::new) brings its own;
/// [`Client::with_transport`](crate::Client::with_transport) takes another.
///
/// What a transport must leave alone: it follows no redirect (the token would go along), it tries
/// nothing again (there is one policy), it undoes no compression, and it sets no limit to how long
/// an answer lasts. A limit to how long connecting takes is its own affair.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request, whose headers are complete but for `Host` and the length of the body.
    /// The future resolves at the answer's head. Dropping it gives the request up and closes its
    /// connection.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>>;

    /// Closes the connections that carry no answer, for their memory. What is kept for the next
    /// request is the transport's affair; the default keeps nothing, or will not let go of it.
    fn close_idle(&self) {}
}

/// Why a request was not carried, or an answer not to its end. The reasons are shown in logs: they
/// must hold no URL and no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection came about.
    #[error("cannot connect: {reason}")]
    Connect {
        /// The system's words.
        reason: String,
    },
    /// The certificate shown is not to be trusted.
    #[error("the certificate is not to be trusted: {reason}")]
    Certificate {
        /// The TLS library's words.
        reason: String,
    },
    /// The connection broke, before the answer or within it.
    #[error("the connection broke: {reason}")]
    Disconnected {
        /// The system's words.
        reason: String,
    },
}

impl TransportError {
    /// No connection came about, in the system's words.
    pub fn connect(reason: impl Into<String>) -> Self {
        Self::Connect { reason: reason.into() }
    }

    /// The connection broke, in the system's words.
    pub fn disconnected(reason: impl Into<String>) -> Self {
        Self::Disconnected { reason: reason.into() }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Connect { reason } => Self::Connect { reason },
            TransportError::Certificate { reason } => Self::Certificate { reason },
            TransportError::Disconnected { reason } => Self::Disconnected { reason },
        }
    }
}
