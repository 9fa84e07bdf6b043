//! The HTTP library, set up once, behind the seam of [`Transport`]; its errors, in words that are
//! safe to log.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};

use crate::secret::Secret;
use crate::settings::{Settings, SettingsError};
use crate::transport::{Body, Transport, TransportError};

/// How long a connection without a stream is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// How many such connections are kept: enough for the next wave, few enough to hold for nothing.
const POOL_SIZE: usize = 256;
/// How long sent bytes may stay unacknowledged before the peer counts as vanished.
#[cfg(target_os = "linux")]
const PEER_GONE: Duration = Duration::from_secs(30);

/// A pool of connections to the upstream.
pub(crate) struct Http {
    inner: reqwest::Client,
}

impl Http {
    /// Absent on purpose: redirects (the token would go along), proxies from the environment,
    /// compression, a timeout over the whole (a stream is long), retries (there is one policy),
    /// and HTTP/2, whose streams share one connection and wait for each other once there are as
    /// many as the peer allows.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let setup = |reason: String| SettingsError::Setup { reason };
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(|error| setup(error.to_string()))?)
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
        let inner = builder.build().map_err(|error| setup(words(&error)))?;
        Ok(Self { inner })
    }
}

impl Transport for Http {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>> {
        let client = self.inner.clone();
        async move {
            let request =
                reqwest::Request::try_from(request).map_err(|error| self::error(&error))?;
            let answer = client.execute(request).await.map_err(|error| self::error(&error))?;
            Ok(Response::<reqwest::Body>::from(answer).map(|body| Box::pin(Answer(body)) as Body))
        }
        .boxed()
    }
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
        polled.map(|frame| frame.map(|frame| frame.map_err(|error| self::error(&error))))
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

/// The public roots of the web, compiled in: the same trust on every machine.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What went wrong before or within an answer.
fn error(error: &reqwest::Error) -> TransportError {
    let reason = words(error);
    if !error.is_connect() {
        return TransportError::Disconnected { reason };
    }
    if sources(error).any(is_bad_certificate) {
        return TransportError::Certificate { reason };
    }
    TransportError::Connect { reason }
}

/// The innermost cause. The outer ones may name the URL.
fn words(error: &reqwest::Error) -> String {
    match sources(error).last() {
        Some(cause) => cause.to_string(),
        None if error.is_timeout() => "timed out".to_owned(),
        None => "the request could not be sent".to_owned(),
    }
}

fn sources<'a>(
    error: &'a reqwest::Error,
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> + 'a {
    std::iter::successors(error.source(), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        // The source of an I/O error passes over the error it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn is_bad_certificate(error: &(dyn StdError + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}
