//! Opens a connection to the upstream that speaks HTTP/2, if the upstream wants to.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::connection::{Connection, Driver};
use crate::cause;
use crate::http;
use crate::settings::SettingsError;
use crate::transport::TransportError;

/// Both, in the order of what is liked better (RFC 7301).
const OFFER: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where to connect to, and how.
pub(crate) struct Connector {
    upstream: Uri,
    name: ServerName<'static>,
    tcp: HttpConnector,
    tls: TlsConnector,
    limit: Duration,
}

/// What the upstream has chosen.
pub(super) enum Opened {
    Http1,
    Http2(Connection, Driver),
}

impl Connector {
    /// To the host of this URL, within this time for each connection.
    pub(crate) fn new(
        upstream: Uri,
        mut tls: ClientConfig,
        limit: Duration,
    ) -> Result<Self, SettingsError> {
        let host = upstream.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| SettingsError::Url { problem: "names a host that no certificate can" })?;
        tls.alpn_protocols = OFFER.map(<[u8]>::to_vec).to_vec();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(http::PEER_GONE));
        Ok(Self { upstream, name, tcp, tls: TlsConnector::from(Arc::new(tls)), limit })
    }

    pub(super) async fn open(&self) -> Result<Opened, TransportError> {
        match timeout(self.limit, self.connect()).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(TransportError::connect("timed out")),
        }
    }

    async fn connect(&self) -> Result<Opened, TransportError> {
        let tcp = self.tcp.clone().call(self.upstream.clone()).await;
        let tcp = tcp.map_err(|error| TransportError::connect(cause::words(&error)))?;
        let tls = self.tls.connect(self.name.clone(), tcp.into_inner()).await;
        let tls = tls.map_err(|error| cause::no_connection(&error))?;
        if tls.get_ref().1.alpn_protocol() != Some(OFFER[0]) {
            return Ok(Opened::Http1);
        }
        let (connection, driver) = Connection::begin(tls).await?;
        Ok(Opened::Http2(connection, driver))
    }
}
