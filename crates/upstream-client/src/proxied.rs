//! The way to the upstream through a proxy: a library's affair, with its errors in words that are
//! safe to log.

use std::error::Error as StdError;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use rustls::ClientConfig;

use crate::cause;
use crate::http::{POOL_IDLE, POOL_SIZE};
use crate::secret::Secret;
use crate::settings::{Settings, SettingsError};
use crate::transport::{Body, TransportError};

/// Connections through one proxy. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proxied {
    client: reqwest::Client,
}

impl Proxied {
    /// Absent on purpose: redirects (the token would go along), proxies from the environment,
    /// compression, a timeout over the whole (a stream is long), retries (there is one policy), and
    /// the library's HTTP/2, with one connection whose streams wait for each other once there are
    /// as many as the peer allows.
    pub(crate) fn new(
        settings: &Settings,
        proxy: &Secret,
        tls: ClientConfig,
    ) -> Result<Self, SettingsError> {
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
        let builder = builder.tcp_user_timeout(crate::http::PEER_GONE);
        let client = builder.proxy(self::proxy(proxy)?).build();
        let client =
            client.map_err(|error| SettingsError::Setup { reason: cause::words(&error) })?;
        Ok(Self { client })
    }

    pub(crate) async fn send(
        self,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(error)?;
        let answer = self.client.execute(request).await.map_err(error)?;
        let answer = Response::<reqwest::Body>::from(answer);
        Ok(answer.map(|body| Box::pin(body.map_err(error)) as Body))
    }
}

/// The library's words are left out: they could name the password.
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
