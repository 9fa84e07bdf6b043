//! A request's head, from its bytes. No I/O here.

use crate::record::{Outcome, Recorded};

/// A request head that could be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: BodyLength,
    pub(crate) expects_continue: bool,
    close: bool,
}

/// How the end of the request body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    Known(usize),
    Chunked,
}

/// A whole request.
#[derive(Debug)]
pub(crate) struct Request {
    head: Head,
    body: Vec<u8>,
}

impl Head {
    /// Reads the lines up to the empty one; none when they are no HTTP/1.1 request. Strict on
    /// purpose: a client of ours that sends bad HTTP should fail here, not in production.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix("\r\n\r\n")?.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?, first.next()?);
        if first.next() != Some("HTTP/1.1") || first.next().is_some() {
            return None;
        }
        if !is_token(method) || !path.starts_with('/') {
            return None;
        }
        let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
        let all = |name: &'static str| {
            headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
        };
        let says = |name, word: &str| all(name).any(|value| value.eq_ignore_ascii_case(word));
        let mut lengths = all("content-length");
        let body = match (all("transfer-encoding").next(), lengths.next()) {
            (None, None) => BodyLength::Known(0),
            (None, Some(length)) if lengths.next().is_none() => {
                BodyLength::Known(length.parse().ok()?)
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => BodyLength::Chunked,
            (Some(_), _) | (None, Some(_)) => return None,
        };
        Some(Self {
            method: method.into(),
            path: path.into(),
            body,
            expects_continue: says("expect", "100-continue"),
            close: says("connection", "close"),
            headers,
        })
    }

    pub(crate) fn with_body(self, body: Vec<u8>) -> Request {
        Request { head: self, body }
    }
}

impl Request {
    pub(crate) fn method(&self) -> &str {
        &self.head.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.head.path
    }

    /// Whether the client wants the connection to end with the answer.
    pub(crate) fn closes(&self) -> bool {
        self.head.close
    }

    pub(crate) fn recorded(self, number: usize) -> Recorded {
        let Head { method, path, headers, .. } = self.head;
        Recorded { number, method, path, headers, body: self.body, outcome: Outcome::Running }
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    is_token(name).then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[]{}\\".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(head: &str) -> Option<BodyLength> {
        Head::parse(head.as_bytes()).map(|head| head.body)
    }

    #[test]
    fn a_head_tells_the_length_of_its_body() {
        assert_eq!(body_of("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), Some(BodyLength::Known(0)));
        assert_eq!(
            body_of("POST /x HTTP/1.1\r\nContent-Length: 12\r\n\r\n"),
            Some(BodyLength::Known(12))
        );
        assert_eq!(
            body_of("POST /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Some(BodyLength::Chunked)
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for head in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nname : x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        ] {
            assert_eq!(body_of(head), None, "{head:?}");
        }
    }
}
