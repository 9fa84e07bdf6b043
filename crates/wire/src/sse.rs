//! Server-sent events: bytes in, the data of whole events out.
//!
//! Follows the event-stream format of the WHATWG HTML standard: lines end with LF, CR or CRLF, a
//! leading byte-order mark is skipped, `data` lines of one event are joined by LF, comments and
//! other fields are passed over. Whether the data is text is not looked at. One difference: an event is also dispatched at the end of the
//! stream ([`Decoder::finish`]), since the upstream does not always close its last one.

use memchr::memchr2;

use crate::Malformed;

/// The largest event accepted by default, in bytes. The upstream repeats a whole thinking in one.
pub const DEFAULT_MAX_EVENT: usize = 8 * 1024 * 1024;

/// Puts events together from reads of any size. Holds at most one incomplete event.
#[derive(Debug)]
pub struct Decoder {
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// The data of the current event, joined.
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended with CR: a LF right after it belongs to it.
    after_cr: bool,
    at_start: bool,
    max_event: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_EVENT)
    }
}

impl Decoder {
    /// A decoder that refuses events of more than `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            max_event,
        }
    }

    /// Takes the next bytes and hands the data of each event they complete to `each`.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`], and whatever `each` answers.
    /// The decoder is of no use after an error.
    pub fn feed<E: From<Malformed>>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.between_events()
                && let Some((data, tail)) = whole_event(rest)
            {
                each(self.bounded(data)?)?;
                rest = tail;
                continue;
            }
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                if self.line.len() + rest.len() > self.max_event {
                    return Err(Malformed::TooLarge(self.max_event).into());
                }
                self.line.extend_from_slice(rest);
                break;
            };
            self.after_cr = rest[end] == b'\r';
            if self.line.is_empty() {
                self.line(&rest[..end], each)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest[..end]);
                self.line(&line, each)?;
                line.clear();
                self.line = line;
            }
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    /// Says that the stream has ended: an event that lacks its blank line is handed out too.
    ///
    /// # Errors
    /// As [`Decoder::feed`].
    pub fn finish<E: From<Malformed>>(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line, each)?;
        }
        self.dispatch(each)
    }

    /// Nothing of an event has arrived, so that one in a single piece needs no copy.
    fn between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && !self.after_cr && !self.at_start
    }

    fn line<E: From<Malformed>>(
        &mut self,
        mut line: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.at_start {
            self.at_start = false;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        match data_of(line) {
            _ if line.is_empty() => self.dispatch(each),
            Some(value) => Ok(self.join(value)?),
            None => Ok(()),
        }
    }

    fn join(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.data.len() + value.len() > self.max_event {
            return Err(Malformed::TooLarge(self.max_event));
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn dispatch<E: From<Malformed>>(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if !std::mem::take(&mut self.has_data) {
            return Ok(());
        }
        let mut data = std::mem::take(&mut self.data);
        let outcome = self.bounded(&data).map_err(E::from).and_then(&mut *each);
        data.clear();
        self.data = data;
        outcome
    }

    fn bounded<'a>(&self, data: &'a [u8]) -> Result<&'a [u8], Malformed> {
        if data.len() > self.max_event {
            Err(Malformed::TooLarge(self.max_event))
        } else {
            Ok(data)
        }
    }
}

/// The data of an event that is all there in one `data` line, and what follows the event. Lines
/// must end with LF alone, as the upstream's do.
fn whole_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = bytes.strip_prefix(b"data:")?;
    let (line, tail) = value.split_at(memchr2(b'\n', b'\r', value)?);
    Some((line.strip_prefix(b" ").unwrap_or(line), tail.strip_prefix(b"\n\n")?))
}

/// The value of a `data` field, without the one space that may follow the colon.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _other_name => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(reads: &[&[u8]]) -> Result<Vec<String>, Malformed> {
        let mut decoder = Decoder::new(64);
        let mut seen = Vec::new();
        let mut each = |data: &[u8]| {
            seen.push(String::from_utf8(data.to_vec()).expect("whole characters"));
            Ok::<(), Malformed>(())
        };
        for read in reads {
            decoder.feed(read, &mut each)?;
        }
        decoder.finish(&mut each)?;
        Ok(seen)
    }

    /// The whole stream at once, and one byte at a time, gives `expected`.
    fn check(stream: &[u8], expected: &[&str]) {
        assert_eq!(decode(&[stream]).unwrap(), expected, "whole: {stream:?}");
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes).unwrap(), expected, "by bytes: {stream:?}");
    }

    #[test]
    fn events_are_told_apart() {
        check(b"data: a\n\ndata: b\n\n", &["a", "b"]);
        check(b"data:a\n\ndata:  b\n\n", &["a", " b"]);
        check(b"\n\n\ndata: a\n\n\n\n", &["a"]);
    }

    #[test]
    fn every_line_end_of_the_standard_is_one() {
        check(b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check(b"data: a\r\rdata: b\r\r", &["a", "b"]);
        check(b"data: a\r\ndata: b\n\r\n", &["a\nb"]);
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        check(b": ping\n\nevent: x\nid: 1\nretry: 2\ndata: a\nwhat\n\n:\n", &["a"]);
        check(b"database: a\n\ndata\n\n", &[""]);
    }

    #[test]
    fn data_lines_of_one_event_are_joined() {
        check(b"data: a\ndata:\ndata: b\n\n", &["a\n\nb"]);
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_skipped() {
        check(b"\xEF\xBB\xBFdata: a\n\n", &["a"]);
    }

    #[test]
    fn the_last_event_needs_no_blank_line() {
        check(b"data: a\n\ndata: b", &["a", "b"]);
        check(b"data: a\n\ndata: b\n", &["a", "b"]);
    }

    #[test]
    fn an_event_that_is_too_large_is_an_error_however_it_comes() {
        let long = [b"data: ".as_slice(), &[b'x'; 100], b"\n\n"].concat();
        let bytes: Vec<&[u8]> = long.chunks(1).collect();
        assert_eq!(decode(&[&long]), Err(Malformed::TooLarge(64)));
        assert_eq!(decode(&bytes), Err(Malformed::TooLarge(64)));
        let lines = b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".repeat(4);
        assert_eq!(decode(&[&lines]), Err(Malformed::TooLarge(64)));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["data: ", "a", "é", "\n", "\r", "\r\n", ":", "\n\n", "data:x\n"]),
                0..12,
            ),
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let stream = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < stream.len()).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&reads), decode(&[&stream]));
        }
    }
}
