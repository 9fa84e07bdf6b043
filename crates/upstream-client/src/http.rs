//! The HTTP library, set up once, behind the seam of [`Transport`]; its errors, in words that are
//! safe to log.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use rustls::ClientConfig;

use crate::cause;
use crate::endpoint::Endpoint;
use crate::http2::{Connector, Http2, Sent};
use crate::secret::Secret;
use crate::settings::{Settings, SettingsError};
use crate::tls;
use crate::transport::{Body, Transport, TransportError};

/// How long a connection without a stream is kept.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(30);
/// How many such connections are kept: enough for the next wave, few enough to hold for nothing.
const POOL_SIZE: usize = 256;
/// How long sent bytes may stay unacknowledged before the peer counts as vanished.
#[cfg(target_os = "linux")]
pub(crate) const PEER_GONE: Duration = Duration::from_secs(30);

/// The connections to the upstream.
pub(crate) struct Http {
    /// Where the upstream may offer HTTP/2.
    shared: Option<Http2>,
    /// HTTP/1.1: a connection for each stream.
    single: reqwest::Client,
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let tls = tls::config(settings.extra_roots.as_deref())?;
        let single = single(settings, tls.clone())?;
        let upstream = Endpoint::new(settings)?.chat;
        let secured = upstream.scheme_str() == Some("https");
        let shared = match settings.http2 && secured && settings.proxy.is_none() {
            true => Some(Http2::new(Connector::new(upstream, tls, settings.timeouts.connect)?)),
            false => None,
        };
        Ok(Self { shared, single })
    }
}

/// Absent on purpose: redirects (the token would go along), proxies from the environment,
/// compression, a timeout over the whole (a stream is long), retries (there is one policy), and the
/// library's HTTP/2, with one connection whose streams wait for each other once there are as many
/// as the peer allows.
fn single(settings: &Settings, tls: ClientConfig) -> Result<reqwest::Client, SettingsError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(settings.timeouts.connect)
        .pool_max_idle_per_host(POOL_SIZE)
        .pool_idle_timeout(POOL_IDLE);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(PEER_GONE);
    let builder = match &settings.proxy {
        Some(proxy) => builder.proxy(self::proxy(proxy)?),
        None => builder,
    };
    builder.build().map_err(|error| SettingsError::Setup { reason: cause::words(&error) })
}

impl Transport for Http {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>> {
        let Some(shared) = self.shared.clone() else {
            return send_single(self.single.clone(), request).boxed();
        };
        let single = self.single.clone();
        async move {
            match shared.send(request).await? {
                Sent::Answer(answer) => Ok(answer),
                Sent::NotOffered(request) => send_single(single, request).await,
            }
        }
        .boxed()
    }
}

async fn send_single(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Body>, TransportError> {
    let request = reqwest::Request::try_from(request).map_err(error)?;
    let answer = client.execute(request).await.map_err(error)?;
    Ok(Response::<reqwest::Body>::from(answer).map(|body| Box::pin(Answer(body)) as Body))
}

/// The library's body, with errors in our words.
struct Answer(reqwest::Body);

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| frame.map_err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The way through a proxy. The library's words are left out: they could name the password.
fn proxy(proxy: &Secret) -> Result<reqwest::Proxy, SettingsError> {
    reqwest::Proxy::all(proxy.expose().trim())
        .map_err(|_| SettingsError::Proxy { problem: "cannot be used" })
}

/// What went wrong before or within an answer. Our own words for what names no cause: the
/// library's could name the URL.
fn error(error: reqwest::Error) -> TransportError {
    let cause = StdError::source(&error);
    match cause {
        Some(cause) if error.is_connect() => cause::no_connection(cause),
        Some(cause) => TransportError::disconnected(cause::words(cause)),
        None if error.is_timeout() => TransportError::connect("timed out"),
        None => TransportError::disconnected("the request could not be sent"),
    }
}
