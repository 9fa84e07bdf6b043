//! The head of an answer, read as it comes.

use std::time::Duration;

use ::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use ::http::{Response, StatusCode, Version};

use super::framing::Framing;
use crate::http::POOL_IDLE;

/// How large a head may be, in bytes, and how many headers it may have.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// How many interim answers (100, 103) may come before the one that counts.
const MAX_INTERIM: usize = 16;
/// How much sooner than the upstream we close what is idle: a request may be on its way meanwhile.
const SOONER: Duration = Duration::from_secs(1);

/// The bytes of a head that have come.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    bytes: Vec<u8>,
    interim: usize,
}

/// A head, and what it says of the rest.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// For how long the connection may be idle and be used again; None if not at all.
    pub(super) keeps: Option<Duration>,
    /// What came after it.
    pub(super) rest: Vec<u8>,
}

impl HeadReader {
    /// Takes bytes; the head, once it is whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<Head>, &'static str> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        // A head that drips is looked at once it can be whole, and not with each byte.
        let mut from = before.saturating_sub(3);
        while has_end(&self.bytes[from..]) {
            match parse(&self.bytes)? {
                Parsed::Part => break,
                Parsed::Interim(length) => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err("there are too many interim answers");
                    }
                    self.bytes.drain(..length);
                    from = 0;
                }
                Parsed::Whole(mut head, length) => {
                    head.rest = self.bytes.split_off(length);
                    return Ok(Some(*head));
                }
            }
        }
        if self.bytes.len() > MAX_HEAD {
            return Err("the head of the answer is too large");
        }
        Ok(None)
    }
}

enum Parsed {
    Part,
    /// Of so many bytes.
    Interim(usize),
    Whole(Box<Head>, usize),
}

fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|end| end == b"\n\n") || bytes.windows(3).any(|end| end == b"\n\r\n")
}

fn parse(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Part),
        Err(httparse::Error::TooManyHeaders) => return Err("the answer has too many headers"),
        Err(_malformed) => return Err("the head of the answer is malformed"),
    };
    let malformed = "the head of the answer is malformed";
    let status = StatusCode::from_u16(parsed.code.ok_or(malformed)?).map_err(|_| malformed)?;
    match status {
        StatusCode::SWITCHING_PROTOCOLS => return Err("the answer is of another protocol"),
        status if status.is_informational() => return Ok(Parsed::Interim(length)),
        _ => {}
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| malformed)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| malformed)?;
        response.headers_mut().append(name, value);
    }
    let framing = Framing::of(response.version(), status, response.headers())?;
    let headers = response.headers();
    let keeps = keeps(response.version(), headers).then(|| idle(headers));
    Ok(Parsed::Whole(Box::new(Head { response, framing, keeps, rest: Vec::new() }), length))
}

/// Whether the connection goes on after the answer. Not where two readers could differ about where
/// the answer ends (RFC 9112, 6.3).
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return false;
    }
    let says = |wanted: &str| {
        let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if version == Version::HTTP_10 { says("keep-alive") } else { !says("close") }
}

/// For how long it may be idle: for as long as we like, but not until the upstream closes it, if it
/// says when (`Keep-Alive`, RFC 2068, 19.7.1.1).
fn idle(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all("keep-alive").iter().filter_map(|line| line.to_str().ok());
    let seconds = lines.flat_map(|line| line.split(',')).filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        let seconds = value.trim().parse().ok()?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| Duration::from_secs(seconds))
    });
    seconds.map(|said| said.saturating_sub(SOONER)).fold(POOL_IDLE, Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, &'static str> {
        let whole = HeadReader::default().take(text.as_bytes());
        let mut reader = HeadReader::default();
        // Byte by byte it is the same, but for what follows the head.
        let found =
            text.bytes().map(|byte| reader.take(&[byte])).find(|read| !matches!(read, Ok(None)));
        let (drip, at_once) = (found.unwrap_or(Ok(None)), whole.as_ref());
        assert_eq!(drip.as_ref().err(), at_once.err().copied().as_ref(), "{text:?}");
        let head = |read: Result<Option<&Head>, _>| {
            read.ok().flatten().map(|head| format!("{:?} {:?}", head.response, head.framing))
        };
        assert_eq!(head(drip.as_ref().map(Option::as_ref)), head(at_once.map(Option::as_ref)));
        whole
    }

    #[test]
    fn a_head_is_a_status_and_headers_and_what_follows_is_the_body() {
        let head = read("HTTP/1.1 429 Slow down\r\nA: b\r\na: c\r\ncontent-length: 3\r\n\r\nxyz");
        let head = head.unwrap().unwrap();
        assert_eq!((head.response.status().as_u16(), head.keeps), (429, Some(POOL_IDLE)));
        let values: Vec<_> = head.response.headers().get_all("a").iter().collect();
        assert_eq!(values, ["b", "c"]);
        assert!(matches!(head.framing, Framing::Length(3)));
        assert_eq!(head.rest, b"xyz");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        let text = format!("HTTP/1.1 100 Continue\r\n\r\n{hints}HTTP/1.1 200 OK\r\n\r\nx");
        let head = read(&text).unwrap().unwrap();
        assert_eq!((head.response.status().as_u16(), head.rest), (200, b"x".to_vec()));
        assert!(read(&hints.repeat(MAX_INTERIM + 1)).is_err());
        assert!(read(&hints.repeat(MAX_INTERIM)).unwrap().is_none());
    }

    #[test]
    fn a_head_has_its_limits() {
        let many = |count| "a: b\r\n".repeat(count);
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", many(MAX_HEADERS))).unwrap().is_some());
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", many(MAX_HEADERS + 1))).is_err());
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MAX_HEAD));
        assert!(HeadReader::default().take(long.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        for text in [
            "not a word of HTTP\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(read("HTTP/1.1 200 OK\r\nhalf: of it").unwrap().is_none());
    }

    #[test]
    fn a_connection_goes_on_where_both_sides_know_that_it_does() {
        for (head, keeps) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", false),
        ] {
            assert_eq!(read(head).unwrap().unwrap().keeps.is_some(), keeps, "{head}");
        }
    }

    #[test]
    fn a_connection_is_given_up_before_the_upstream_says_that_it_closes_it() {
        for (said, idle) in [
            ("timeout=5, max=100", 5 - 1),
            ("max=100, Timeout = 7", 7 - 1),
            ("timeout=9\r\nkeep-alive: timeout=8", 8 - 1),
            ("timeout=1", 0),
            ("timeout=0", 0),
            ("timeout=600", 30),
            ("timeout=soon", 30),
            ("max=3", 30),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\nkeep-alive: {said}\r\n\r\n");
            let keeps = read(&head).unwrap().unwrap().keeps;
            assert_eq!(keeps, Some(Duration::from_secs(idle)), "{said}");
        }
    }
}
