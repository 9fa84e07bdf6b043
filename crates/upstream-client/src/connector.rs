//! Opens connections to the upstream: TCP, and TLS where the URL wants it.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower_service::Service;

use crate::cause;
use crate::http;
use crate::settings::SettingsError;
use crate::transport::TransportError;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What TLS offers to speak, in the order of what is liked better (RFC 7301).
pub(crate) const HTTP1_ONLY: &[&[u8]] = &[HTTP1];
/// As above.
pub(crate) const HTTP2_RATHER: &[&[u8]] = &[HTTP2, HTTP1];

/// A connection on which nothing was said yet. Boxed in part: a plain one need not be as large as
/// a secure one.
pub(crate) type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Where to connect to, and how.
pub(crate) struct Connector {
    upstream: Uri,
    tcp: HttpConnector,
    tls: Option<Tls>,
    limit: Duration,
}

struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Connector {
    /// To the host of this URL, within this time for each connection.
    pub(crate) fn new(
        upstream: Uri,
        tls: ClientConfig,
        offer: &[&[u8]],
        limit: Duration,
    ) -> Result<Self, SettingsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(http::PEER_GONE));
        let tls = match upstream.scheme_str() {
            Some("https") => Some(Tls::new(&upstream, tls, offer)?),
            _ => None,
        };
        Ok(Self { upstream, tcp, tls, limit })
    }

    /// Connects. The caller bounds the time, see [`Connector::in_time`].
    pub(crate) async fn connect(&self) -> Result<Socket, TransportError> {
        let tcp = self.tcp.clone().call(self.upstream.clone()).await;
        let tcp = tcp.map_err(|error| TransportError::connect(cause::words(&error)))?.into_inner();
        let Some(tls) = &self.tls else { return Ok(Either::Left(tcp)) };
        match tls.connector.connect(tls.name.clone(), tcp).await {
            Ok(secured) => Ok(Either::Right(Box::new(secured))),
            Err(error) => Err(cause::no_connection(&error)),
        }
    }

    /// Whatever belongs to connecting, within its time.
    pub(crate) async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        match timeout(self.limit, connecting).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(TransportError::connect("timed out")),
        }
    }
}

impl Tls {
    fn new(
        upstream: &Uri,
        mut config: ClientConfig,
        offer: &[&[u8]],
    ) -> Result<Self, SettingsError> {
        let host = upstream.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| SettingsError::Url { problem: "names a host that no certificate can" })?;
        config.alpn_protocols = offer.iter().map(|name| name.to_vec()).collect();
        Ok(Self { name, connector: TlsConnector::from(Arc::new(config)) })
    }
}

/// Whether the upstream has chosen HTTP/2.
pub(crate) fn speaks_http2(socket: &Socket) -> bool {
    match socket {
        Either::Left(_plain) => false,
        Either::Right(secured) => secured.get_ref().1.alpn_protocol() == Some(HTTP2),
    }
}
