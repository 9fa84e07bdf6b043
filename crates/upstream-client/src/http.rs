//! The connections to the upstream, behind the seam of [`Transport`].

use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::connector::{Connector, HTTP1_ONLY, HTTP2_RATHER};
use crate::direct::Direct;
use crate::endpoint::Endpoint;
use crate::http2::Http2;
use crate::proxied::Proxied;
use crate::settings::{Settings, SettingsError};
use crate::tls;
use crate::transport::{Body, Transport, TransportError};

/// How long a connection without a stream is kept, at most.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(30);
/// How many such connections each runtime keeps: enough for the next wave, few enough to hold for
/// nothing.
pub(crate) const POOL_SIZE: usize = 256;
/// How long sent bytes may stay unacknowledged before the peer counts as vanished.
#[cfg(target_os = "linux")]
pub(crate) const PEER_GONE: Duration = Duration::from_secs(30);

/// Which way requests go.
pub(crate) enum Http {
    /// HTTP/1.1: a connection for each stream.
    Single(Direct),
    /// Streams share connections, where the upstream may offer HTTP/2.
    Shared(Http2),
    Proxied(Proxied),
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let tls = tls::config(settings.extra_roots.as_deref())?;
        if let Some(proxy) = &settings.proxy {
            return Ok(Self::Proxied(Proxied::new(settings, proxy, tls)?));
        }
        let upstream = Endpoint::new(settings)?.chat;
        let secured = upstream.scheme_str() == Some("https");
        let connector =
            |offer| Connector::new(upstream.clone(), tls.clone(), offer, settings.timeouts.connect);
        let single = Direct::new(connector(HTTP1_ONLY)?);
        Ok(match settings.http2 && secured {
            true => Self::Shared(Http2::new(connector(HTTP2_RATHER)?, single)),
            false => Self::Single(single),
        })
    }
}

impl Transport for Http {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>> {
        match self {
            Self::Single(single) => single.clone().send(request).boxed(),
            Self::Shared(shared) => shared.clone().send(request).boxed(),
            Self::Proxied(proxied) => proxied.clone().send(request).boxed(),
        }
    }

    fn close_idle(&self) {
        match self {
            Self::Single(single) => single.close_idle(),
            Self::Shared(shared) => shared.close_idle(),
            // The library lets go of them by time only.
            Self::Proxied(_) => {}
        }
    }
}
