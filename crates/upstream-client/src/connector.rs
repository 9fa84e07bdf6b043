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
        let tcp = set_up(HttpConnector::new(), limit);
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

/// One address that does not answer must not use up the time of the others, nor of TLS: they share
/// a part of it.
fn set_up<R>(mut tcp: HttpConnector<R>, limit: Duration) -> HttpConnector<R> {
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit * 3 / 4));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(http::PEER_GONE));
    tcp
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::net::SocketAddr;
    use std::task::{Context, Poll};
    use std::vec::IntoIter;

    use hyper_util::client::legacy::connect::dns::Name;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A host with these addresses.
    #[derive(Clone)]
    struct Host(Vec<SocketAddr>);

    impl Service<Name> for Host {
        type Response = IntoIter<SocketAddr>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            ready(Ok(self.0.clone().into_iter()))
        }
    }

    /// It answers no more, since nobody takes what waits there.
    async fn deaf() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let (address, mut waiting) = (listener.local_addr().unwrap(), Vec::new());
        let connect = || timeout(Duration::from_millis(500), TcpStream::connect(address));
        while let Ok(taken) = connect().await {
            waiting.push(taken.unwrap());
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let (deaf, _waiting) = deaf().await;
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&deaf, &live].map(|listener| listener.local_addr().unwrap());
        let limit = Duration::from_secs(8);
        let resolver = HttpConnector::new_with_resolver(Host(addresses.to_vec()));
        let mut tcp = set_up(resolver, limit);
        let connecting = tcp.call(Uri::from_static("http://host"));
        let connected = timeout(limit, connecting).await.expect("it has time").unwrap();
        assert_eq!(connected.into_inner().peer_addr().unwrap(), addresses[1]);
    }
}
