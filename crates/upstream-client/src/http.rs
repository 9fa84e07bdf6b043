//! The HTTP client, set up once; its errors, in words that are safe to log.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::headers;
use crate::settings::{Settings, SettingsError};

const POOL_IDLE: Duration = Duration::from_secs(30);

/// A pool of connections to the upstream.
///
/// Absent on purpose: redirects (the token would go along), proxies from the environment,
/// compression, a timeout over the whole (a stream is long), and retries (there is one policy).
pub(crate) fn client(
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<reqwest::Client, SettingsError> {
    let setup = |reason: String| SettingsError::Setup { reason };
    reqwest::Client::builder()
        .default_headers(headers::common(endpoint, settings)?)
        .tls_backend_preconfigured(tls().map_err(|error| setup(error.to_string()))?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(settings.timeouts.connect)
        .pool_idle_timeout(POOL_IDLE)
        .build()
        .map_err(|error| setup(words(&error)))
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
pub(crate) fn error(error: &reqwest::Error) -> Error {
    let reason = words(error);
    if !error.is_connect() {
        return Error::Disconnected { reason };
    }
    if sources(error).any(is_bad_certificate) {
        return Error::Certificate { reason };
    }
    Error::Connect { reason }
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
