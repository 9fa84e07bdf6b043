//! Where the body of an answer ends (RFC 9112, 6.3).

use ::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use ::http::{StatusCode, Version};

use super::chunks::Chunks;

/// What is still to come of a body.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunks(Chunks),
    /// All up to the end of the connection.
    Close,
}

impl Framing {
    /// By the head of an answer.
    ///
    /// # Errors
    /// If it does not say so clearly.
    pub(super) fn of(
        version: Version,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, &'static str> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self::Length(0));
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            if version == Version::HTTP_10 {
                return Err("the answer is of HTTP/1.0 and has a transfer coding");
            }
            return Ok(if is_chunked(headers) { Self::Chunks(Chunks::new()) } else { Self::Close });
        }
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(|value| {
            let value =
                value.to_str().ok().filter(|value| value.bytes().all(|b| b.is_ascii_digit()));
            value.and_then(|value| value.parse().ok())
        });
        let Some(first) = lengths.next() else { return Ok(Self::Close) };
        match first {
            Some(length) if lengths.all(|other| other == first) => Ok(Self::Length(length)),
            _ => Err("the length of the answer is malformed"),
        }
    }

    /// Appends what of these bytes is the body's to `data`. Answers how many belong to it.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8], data: &mut Vec<u8>) -> Result<usize, &'static str> {
        match self {
            Self::Length(left) => {
                let part = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                data.extend_from_slice(&bytes[..part]);
                *left -= part as u64;
                Ok(part)
            }
            Self::Chunks(chunks) => chunks.take(bytes, data),
            Self::Close => {
                data.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// If the body has not.
    pub(super) fn close(&mut self) -> Result<(), &'static str> {
        if !self.is_over() && !matches!(self, Self::Close) {
            return Err("the connection closed within the answer");
        }
        *self = Self::Length(0);
        Ok(())
    }

    /// Whether nothing more belongs to the body.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.is_over(),
            Self::Close => false,
        }
    }
}

/// Whether the last coding is that of chunks.
fn is_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    let last =
        last.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    last.is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

#[cfg(test)]
mod tests {
    use ::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn framing(status: u16, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        let header = |&(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(header) {
            map.append(name, value);
        }
        let framing = Framing::of(Version::HTTP_11, StatusCode::from_u16(status).unwrap(), &map)?;
        Ok(match framing {
            Framing::Length(length) => length.to_string(),
            Framing::Chunks(_) => "chunks".to_owned(),
            Framing::Close => "close".to_owned(),
        })
    }

    #[test]
    fn the_head_tells_where_the_body_ends() {
        let (length, coding) = ("content-length", "transfer-encoding");
        for (status, headers, expected) in [
            (200, vec![(length, "12")], "12"),
            (200, vec![(length, "7"), (length, "7")], "7"),
            (200, vec![(coding, "chunked")], "chunks"),
            (200, vec![(coding, "gzip, Chunked")], "chunks"),
            (200, vec![(length, "7"), (coding, "chunked")], "chunks"),
            (200, vec![(coding, "gzip")], "close"),
            (200, vec![], "close"),
            (204, vec![(length, "7")], "0"),
        ] {
            assert_eq!(framing(status, &headers).as_deref(), Ok(expected), "{headers:?}");
        }
    }

    #[test]
    fn a_length_that_is_none_is_an_error() {
        for lengths in [vec!["x"], vec!["-1"], vec!["+1"], vec!["1", "2"], vec!["1, 1"], vec![""]] {
            let headers: Vec<_> = lengths.iter().map(|value| ("content-length", *value)).collect();
            assert!(framing(200, &headers).is_err(), "{lengths:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        assert!(Framing::of(Version::HTTP_10, StatusCode::OK, &headers).is_err());
    }
}
