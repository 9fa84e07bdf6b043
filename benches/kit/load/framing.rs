//! Where the body of an HTTP/1.1 answer begins and ends.

use std::io::{self, ErrorKind::InvalidData};

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// How many bytes it has.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    /// Whether it is the last one on its connection.
    pub(crate) closes: bool,
}

/// How much of the body is still to come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(usize),
    /// The rest of a chunk, and more chunks.
    Chunk(usize),
    /// The line end behind a chunk.
    ChunkEnd,
    /// Chunks, from the line of the next one's size.
    Size,
    /// The line end behind the last chunk.
    LastEnd,
    /// Nothing.
    Over,
}

pub(crate) fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(InvalidData, why.into())
}

impl Head {
    /// Reads a head; None if it is not all there.
    pub(crate) fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(bad(error.to_string())),
        };
        let value = |name: &str| {
            let header =
                answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            header.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let framing = match (value("transfer-encoding"), value("content-length")) {
            (Some("chunked"), None) => Framing::Size,
            (None, Some(length)) => {
                Framing::Length(length.parse().map_err(|_| bad("a bad content-length"))?)
            }
            _neither_or_both => return Err(bad("an answer without a known length")),
        };
        let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self { status: answer.code.unwrap_or_default(), length, framing, closes }))
    }
}

impl Framing {
    /// Whether all of the body has been read.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Over | Self::Length(0))
    }

    /// Takes one step: answers how many bytes it read, and how many of them are body. Zero bytes
    /// read means that more must be seen.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> io::Result<(usize, usize)> {
        Ok(match *self {
            Self::Length(left) => {
                let taken = left.min(bytes.len());
                *self = Self::Length(left - taken);
                (taken, taken)
            }
            Self::Chunk(left) => {
                let taken = left.min(bytes.len());
                *self = if taken == left { Self::ChunkEnd } else { Self::Chunk(left - taken) };
                (taken, taken)
            }
            Self::ChunkEnd => (self.line_end(bytes, Self::Size)?, 0),
            Self::LastEnd => (self.line_end(bytes, Self::Over)?, 0),
            Self::Size => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((read, size))) => {
                    let size = usize::try_from(size).map_err(|_| bad("a chunk beyond reason"))?;
                    *self = if size == 0 { Self::LastEnd } else { Self::Chunk(size) };
                    (read, 0)
                }
                Ok(httparse::Status::Partial) => (0, 0),
                Err(_) => return Err(bad("a bad chunk size")),
            },
            Self::Over => return Err(bad("bytes after the answer")),
        })
    }

    fn line_end(&mut self, bytes: &[u8], then: Self) -> io::Result<usize> {
        match bytes {
            [b'\r', b'\n', ..] => {
                *self = then;
                Ok(2)
            }
            [] | [b'\r'] => Ok(0),
            _other => Err(bad("no line end behind a chunk")),
        }
    }
}
