//! A request as it stands on the wire.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::header::{CONTENT_LENGTH, HOST};
use ::http::uri::Uri;
use ::http::{Method, Request};
use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio_util::either::Either;
use tokio_util::io::poll_write_buf;

use crate::connector::Socket;

/// Cheap to clone: it may be begun again on another connection.
#[derive(Clone)]
pub(super) struct Outgoing {
    head: Bytes,
    body: Bytes,
}

/// What of a request has not gone out yet.
pub(super) struct Unsent {
    left: Chain<Bytes, Bytes>,
    begun: bool,
}

impl Outgoing {
    /// Where to is in a header, and the path in the first line (RFC 9112, 3.2.1).
    pub(super) fn new(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut head = Vec::with_capacity(1024);
        line(&mut head, &[parts.method.as_str(), " ", path, " HTTP/1.1"].map(str::as_bytes));
        line(&mut head, &[HOST.as_str(), ": ", &host(&parts.uri)].map(str::as_bytes));
        for (name, value) in &parts.headers {
            line(&mut head, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        if !body.is_empty() || parts.method == Method::POST {
            let length = body.len().to_string();
            line(&mut head, &[CONTENT_LENGTH.as_str(), ": ", &length].map(str::as_bytes));
        }
        line(&mut head, &[]);
        Self { head: head.into(), body }
    }

    pub(super) fn unsent(&self) -> Unsent {
        Unsent { left: self.head.clone().chain(self.body.clone()), begun: false }
    }
}

impl Unsent {
    /// Whether some of it has gone out, or may have.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Sends what can go. Ready when all has gone.
    pub(super) fn poll_send(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // TLS may write several times at once: some may have gone where the next one fails.
        self.begun |= matches!(socket, Either::Right(_secured));
        while self.left.has_remaining() {
            if ready!(poll_write_buf(Pin::new(&mut *socket), cx, &mut self.left))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun = true;
        }
        Pin::new(socket).poll_flush(cx)
    }
}

fn line(head: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| head.extend_from_slice(part));
    head.extend_from_slice(b"\r\n");
}

/// Without the port, where the scheme tells it.
fn host(uri: &Uri) -> String {
    let name = uri.host().unwrap_or_default();
    let known = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    match uri.port_u16() {
        Some(port) if port != known => format!("{name}:{port}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: Request<&'static str>) -> String {
        let outgoing = Outgoing::new(request.map(|body| Bytes::from_static(body.as_bytes())));
        let mut left = outgoing.unsent().left;
        String::from_utf8(left.copy_to_bytes(left.remaining()).to_vec()).unwrap()
    }

    #[test]
    fn a_request_names_its_host_and_the_port_if_it_is_not_the_schemes() {
        for (url, host, path) in [
            ("https://api.z.ai/api/paas?a=b", "api.z.ai", "/api/paas?a=b"),
            ("https://api.z.ai:443/x", "api.z.ai", "/x"),
            ("http://[::1]:80/x", "[::1]", "/x"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
        ] {
            let request = Request::get(url).body("").unwrap();
            assert_eq!(written(request), format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        }
    }

    #[test]
    fn a_body_has_its_length_before_it() {
        let request = Request::post("http://host/x").header("a", "b").body("hello").unwrap();
        let expected = "POST /x HTTP/1.1\r\nhost: host\r\na: b\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(written(request), expected);
        let request = Request::post("http://host/x").body("").unwrap();
        assert!(written(request).contains("content-length: 0\r\n"));
    }
}
