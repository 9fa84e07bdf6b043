//! HTTP/1.1: a connection for each answer, driven by whoever reads the answer.

mod answer;
mod link;
mod pool;
mod relay;

use std::sync::Arc;

use ::http::header::{HOST, HeaderValue};
use ::http::uri::{PathAndQuery, Uri};
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;

use self::answer::Answer;
use self::link::Link;
use self::pool::Pool;
use crate::cause;
use crate::connector::{Connector, Socket};
use crate::transport::{Body, TransportError};

/// The connections to one upstream. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Direct {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
}

impl Direct {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector: Arc::new(connector), pool: Arc::default() }
    }

    /// Sends a request on a connection that is idle, or on a new one.
    pub(crate) async fn send(
        self,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, TransportError> {
        let mut request = addressed(request);
        loop {
            let (mut link, used) = match self.pool.take() {
                Some(link) => (link, true),
                None => (self.open().await?, false),
            };
            match link.send(request).await {
                Ok(answer) => {
                    return Ok(
                        answer.map(|body| Box::pin(Answer::new(body, link, self.pool)) as Body)
                    );
                }
                Err(mut error) => match error.take_message() {
                    // It closed at that moment, and nothing of the request has left. This ends:
                    // each turn uses one up, and a new one is the last.
                    Some(unsent) if used => request = unsent,
                    _ => return Err(TransportError::disconnected(cause::words(error.error()))),
                },
            }
        }
    }

    /// Keeps a connection that was opened to find out what the upstream speaks.
    pub(crate) async fn keep(&self, socket: Socket) -> Result<(), TransportError> {
        self.pool.put(Link::begin(socket).await?);
        Ok(())
    }

    /// Closes the connections that wait for a request.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
    }

    async fn open(&self) -> Result<Box<Link>, TransportError> {
        let connector = &self.connector;
        connector.in_time(async { Link::begin(connector.connect().await?).await }).await
    }
}

/// The request as it stands on the wire: where to is in a header, and the path in the first line
/// (RFC 9112, 3.2.1).
fn addressed(request: Request<Bytes>) -> Request<Full<Bytes>> {
    let mut request = request.map(Full::new);
    let uri = std::mem::take(request.uri_mut());
    if let Some(host) = host(&uri) {
        request.headers_mut().insert(HOST, host);
    }
    let path = uri.into_parts().path_and_query;
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    request
}

/// Without the port, where the scheme tells it.
fn host(uri: &Uri) -> Option<HeaderValue> {
    let known = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let named = match uri.port_u16() {
        Some(port) if port != known => uri.authority()?.as_str(),
        _ => uri.host()?,
    };
    HeaderValue::from_str(named).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_host_and_the_port_if_it_is_not_the_schemes() {
        for (url, host, path) in [
            ("https://api.z.ai/api/paas?a=b", "api.z.ai", "/api/paas?a=b"),
            ("https://api.z.ai:443/x", "api.z.ai", "/x"),
            ("http://[::1]:80/x", "[::1]", "/x"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
        ] {
            let request = Request::get(url).body(Bytes::new()).unwrap();
            let request = addressed(request);
            assert_eq!(request.headers()[HOST], host, "{url}");
            assert_eq!(request.uri().to_string(), path, "{url}");
        }
    }
}
