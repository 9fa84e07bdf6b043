//! Takes apart a body that comes in chunks (RFC 9112, 7.1).

/// What may stand between the data in all, in bytes, besides the sizes: extensions and trailers.
/// Nobody reads them here.
const MAX_ASIDE: usize = 16 * 1024;
/// How many spaces may stand behind one size.
const MAX_PADDING: usize = 1024;

/// Where in a chunk the bytes stand that come next.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk's data.
    left: u64,
    aside: usize,
    /// Spaces behind this size. Some pad each size to the same width, so only a line has a bound.
    padding: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    Start,
    Size,
    /// Behind a size; no further digit belongs to it.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// Where a line of trailers begins, or the last line.
    LineStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Start, left: 0, aside: 0, padding: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.at == At::End
    }

    /// Appends the data among these bytes to `data`. Answers how many belong to the body: all, or
    /// those before its end.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8], data: &mut Vec<u8>) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !rest.is_empty() && self.at != At::End {
            if self.at == At::Data {
                rest = self.data(rest, data);
            } else if self.at == At::Start
                && let Some((size, tail)) = plain_size(rest)
            {
                (self.at, self.left, rest) = (At::Data, size, tail);
            } else {
                self.at = self.step(rest[0])?;
                rest = &rest[1..];
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes this chunk's data, as far as it is there. What follows.
    fn data<'a>(&mut self, bytes: &'a [u8], data: &mut Vec<u8>) -> &'a [u8] {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at(bytes.len().min(left));
        data.extend_from_slice(part);
        self.left -= part.len() as u64;
        if self.left > 0 {
            return rest;
        }
        let tail = rest.strip_prefix(b"\r\n");
        self.at = if tail.is_some() { At::Start } else { At::DataCr };
        tail.unwrap_or(rest)
    }

    /// What comes after this byte, which is none of the data.
    fn step(&mut self, byte: u8) -> Result<At, &'static str> {
        Ok(match (self.at, byte) {
            (At::Start | At::Size, digit) if digit.is_ascii_hexdigit() => {
                self.size(digit)?;
                At::Size
            }
            (At::Size | At::SizeSpace | At::Extension, b'\r') => {
                self.padding = 0;
                At::SizeLf
            }
            (At::Size | At::SizeSpace, b' ' | b'\t') => self.pad()?,
            (At::Size | At::SizeSpace, b';') => self.aside(At::Extension)?,
            // A bare line feed would end the line for some, and not for others.
            (At::Extension, byte) if byte != b'\n' => self.aside(At::Extension)?,
            (At::SizeLf, b'\n') if self.left == 0 => At::LineStart,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Start,
            (At::LineStart, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => At::End,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::LineStart,
            (At::LineStart | At::Trailer, byte) if byte != b'\n' => self.aside(At::Trailer)?,
            _ => return Err("a chunk of the answer is malformed"),
        })
    }

    fn size(&mut self, digit: u8) -> Result<(), &'static str> {
        let value = char::from(digit).to_digit(16).unwrap_or_default();
        let size = self.left.checked_mul(16).and_then(|size| size.checked_add(value.into()));
        self.left = size.ok_or("a chunk of the answer is larger than can be")?;
        Ok(())
    }

    fn pad(&mut self) -> Result<At, &'static str> {
        self.padding += 1;
        if self.padding > MAX_PADDING {
            return Err("a size in the answer has too much space behind it");
        }
        Ok(At::SizeSpace)
    }

    fn aside(&mut self, next: At) -> Result<At, &'static str> {
        self.aside += 1;
        if self.aside > MAX_ASIDE {
            return Err("the answer has too much between its chunks");
        }
        Ok(next)
    }
}

/// The usual line before a chunk with data, all of it: a size and nothing else. And what follows.
fn plain_size(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut size = 0;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        match char::from(*byte).to_digit(16) {
            Some(digit) => size = size * 16 + u64::from(digit),
            None if size > 0 => return Some((size, bytes[at..].strip_prefix(b"\r\n")?)),
            None => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data, and what stands behind the body.
    fn read(pieces: &[&[u8]]) -> Result<(String, String, bool), &'static str> {
        let (mut chunks, mut data, mut rest) = (Chunks::new(), Vec::new(), Vec::new());
        for piece in pieces {
            let taken = chunks.take(piece, &mut data)?;
            rest.extend_from_slice(&piece[taken..]);
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((text(data), text(rest), chunks.is_over()))
    }

    #[test]
    fn data_is_what_is_left_without_sizes_extensions_and_trailers() {
        for (body, data) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5;a=b\r\nhello\r\nA \t\r\n, and more\r\n000;x=\"y\"\r\n\r\n", "hello, and more"),
            ("2  ;a=b c\r\nhi\r\n0 \r\n\r\n", "hi"),
            ("1\r\nx\r\n0\r\ntrailer: value\r\nanother: one\r\n\r\n", "x"),
            ("0\r\n\r\n", ""),
        ] {
            assert_eq!(read(&[body.as_bytes()]), Ok((data.into(), String::new(), true)), "{body}");
            let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), Ok((data.into(), String::new(), true)), "{body}");
        }
    }

    #[test]
    fn what_follows_the_end_is_left_alone() {
        let read = read(&[b"1\r\nx\r\n0\r\n\r\nHTTP/1.1", b" 200"]).unwrap();
        assert_eq!(read, ("x".into(), "HTTP/1.1 200".into(), true));
    }

    #[test]
    fn a_body_that_stops_is_not_over() {
        let body = b"5\r\nhello\r\n0\r\na: b\r\n\r\n";
        for end in 0..body.len() {
            assert!(!read(&[&body[..end]]).unwrap().2, "{end}");
        }
    }

    #[test]
    fn a_long_body_may_pad_each_of_its_sizes() {
        let chunks = MAX_ASIDE;
        let body = "1      \r\nx\r\n".repeat(chunks) + "0      \r\n\r\n";
        assert_eq!(read(&[body.as_bytes()]), Ok(("x".repeat(chunks), String::new(), true)));
    }

    #[test]
    fn what_some_would_read_otherwise_is_an_error() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\nx",
            "5\nhello",
            "1\r\nxy\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\rx",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "1;a\nx",
            ";a\r\n",
            " 1\r\nx\r\n",
            "5 6\r\nhello\r\n",
            "1 garbage\r\nx\r\n",
            "1\t\nx\r\n",
            "10000000000000000\r\n",
            "0\r\n\rx",
        ] {
            assert!(read(&[body.as_bytes()]).is_err(), "{body:?}");
        }
        let endless = [b"1;".to_vec(), vec![b'x'; MAX_ASIDE + 1]].concat();
        assert!(read(&[&endless]).is_err());
        let endless = [b"1".to_vec(), vec![b' '; MAX_PADDING + 1]].concat();
        assert!(read(&[&endless]).is_err());
        let endless = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(MAX_ASIDE / 3)].concat();
        assert!(read(&[&endless]).is_err());
    }

    proptest! {
        #[test]
        fn however_it_is_cut_up_the_data_is_the_same(
            parts in prop::collection::vec("[a-z]{1,40}", 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..80),
        ) {
            let mut body: String =
                parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
            body += "0\r\n\r\n";
            let (mut rest, mut pieces) = (body.as_bytes(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(read(&pieces), Ok((parts.concat(), String::new(), true)));
        }
    }
}
