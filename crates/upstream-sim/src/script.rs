//! A script: exactly what one answer does on the wire.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::compress;

/// What an answer does on the wire: its head, its body write by write, its pace, its end.
///
/// A script is a value; cloning one is cheap. By default the head goes out at once, each write of
/// the body is one TCP write and one chunk, and the closing chunk leaves together with the last
/// write.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) framing: Framing,
    /// None of them is empty: an empty chunk would end the body.
    pub(crate) writes: Arc<[Bytes]>,
    /// What [`Script::endless`] repeats.
    last_event: Bytes,
    pub(crate) piece: Option<usize>,
    pub(crate) head_after: Duration,
    pub(crate) first_after: Duration,
    pub(crate) pace: Duration,
    pub(crate) end_after: Duration,
    pub(crate) ending: Ending,
    pub(crate) endless: bool,
}

/// How the peer learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By `content-length`.
    Length,
    /// By the closing chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// How the answer ends; a number counts body writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Clean,
    Stall(usize),
    Cut(usize),
    Reset(usize),
}

impl Script {
    /// A 200 event stream of these bytes in one write, then a clean end.
    pub fn sse(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Bytes::from(bytes.into());
        let last = last_event_of(&bytes);
        Self::new(200, "text/event-stream; charset=utf-8", Framing::Chunked, vec![bytes], last)
    }

    /// A 200 event stream: each item becomes `data: {item}` and an empty line, in its own write.
    pub fn events<I: IntoIterator<Item = S>, S: AsRef<str>>(datas: I) -> Self {
        let event = |data: S| Bytes::from(format!("data: {}\n\n", data.as_ref()));
        let events: Vec<Bytes> = datas.into_iter().map(event).collect();
        let last = events.last().cloned().unwrap_or_default();
        Self::new(200, "text/event-stream; charset=utf-8", Framing::Chunked, events, last)
    }

    /// A whole answer with a `content-length`.
    pub fn status(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = Bytes::from(body.into());
        Self::new(status, content_type, Framing::Length, vec![body.clone()], body)
    }

    fn new(code: u16, kind: &str, framing: Framing, mut writes: Vec<Bytes>, last: Bytes) -> Self {
        writes.retain(|write| !write.is_empty());
        Self {
            status: code,
            headers: vec![("content-type".into(), kind.into())],
            framing,
            writes: writes.into(),
            last_event: last,
            piece: None,
            head_after: Duration::ZERO,
            first_after: Duration::ZERO,
            pace: Duration::ZERO,
            end_after: Duration::ZERO,
            ending: Ending::Clean,
            endless: false,
        }
    }

    /// Sets a header in place of any of that name. A `content-length` or `transfer-encoding` set
    /// here is sent instead of the true one, so that a script can lie.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    /// Writes the body in pieces of so many bytes (at least 1), wherever events begin and end.
    pub fn pieces_of(mut self, bytes: usize) -> Self {
        self = self.together();
        self.piece = Some(bytes.max(1));
        self
    }

    /// Writes all of the body at once.
    pub fn together(mut self) -> Self {
        self.writes = [Bytes::from(self.writes.concat())].into_iter().filter(nonempty).collect();
        self.piece = None;
        self
    }

    /// Writes an event stream event by event: a write ends where an empty line does.
    pub fn event_by_event(mut self) -> Self {
        let mut rest = Bytes::from(self.writes.concat());
        let mut events = Vec::new();
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            events.push(rest.split_to(end + 2));
        }
        events.push(rest);
        self.writes = events.into_iter().filter(nonempty).collect();
        self.piece = None;
        self
    }

    /// Waits so long between two writes of the body.
    pub fn pace(mut self, between_writes: Duration) -> Self {
        self.pace = between_writes;
        self
    }

    /// Sends the head only after so long.
    pub fn head_after(mut self, wait: Duration) -> Self {
        self.head_after = wait;
        self
    }

    /// Sends the head at once and the first byte of the body so long after it.
    pub fn first_after(mut self, wait: Duration) -> Self {
        self.first_after = wait;
        self
    }

    /// Ends the body (the closing chunk, or the FIN) only so long after its last write.
    pub fn end_after(mut self, wait: Duration) -> Self {
        self.end_after = wait;
        self
    }

    /// Says nothing more after so many body writes (or after the last, if there are fewer) and
    /// keeps the connection until the peer closes it.
    pub fn stall_after(mut self, writes: usize) -> Self {
        self.ending = Ending::Stall(writes);
        self
    }

    /// Closes the connection after so many body writes (or after the last, if there are fewer),
    /// without the end of the body.
    pub fn cut_after(mut self, writes: usize) -> Self {
        self.ending = Ending::Cut(writes);
        self
    }

    /// Resets the connection (RST) after so many body writes (or after the last, if there are
    /// fewer). What the peer's window had no room for is lost with it.
    pub fn reset_after(mut self, writes: usize) -> Self {
        self.ending = Ending::Reset(writes);
        self
    }

    /// Sends this event after so many body writes (or after the last, if there are fewer), and
    /// nothing of the rest: an error event at the begin or midway, or one that cannot be read.
    pub fn event_after(mut self, writes: usize, data: &str) -> Self {
        let event = Bytes::from(format!("data: {data}\n\n"));
        self.last_event = event.clone();
        self.writes = self.writes.iter().take(writes).cloned().chain([event]).collect();
        self
    }

    /// Repeats the last event until the peer closes. An answer with a length becomes chunked; an
    /// empty one has nothing to repeat.
    pub fn endless(mut self) -> Self {
        self.endless = true;
        if self.framing == Framing::Length {
            self.framing = Framing::Chunked;
        }
        self
    }

    /// Compresses the body with gzip, each write flushed, and says so in `content-encoding`.
    pub fn gzip(mut self) -> Self {
        self.writes = compress::gzip(&self.writes).into();
        self.last_event = compress::gzip(&[self.last_event]).concat().into();
        self.header("content-encoding", "gzip")
    }

    /// Sends the body without any framing: its end is the end of the connection.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// The body's bytes as they are written, without framing, repetition or cuts.
    pub fn body(&self) -> Vec<u8> {
        self.writes.concat()
    }

    /// What comes again and again after the writes, if anything.
    pub(crate) fn repeated(&self) -> Option<Bytes> {
        (self.endless && !self.last_event.is_empty()).then(|| self.last_event.clone())
    }
}

fn nonempty(bytes: &Bytes) -> bool {
    !bytes.is_empty()
}

/// The last event of a stream, or all of it when it has no empty line inside.
fn last_event_of(bytes: &Bytes) -> Bytes {
    let end = bytes.strip_suffix(b"\n\n").map_or(bytes.len(), <[u8]>::len);
    let start = bytes[..end].windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
    bytes.slice(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_of_a_stream_is_what_repeats() {
        let last = |stream: &'static str| last_event_of(&Bytes::from_static(stream.as_bytes()));
        assert_eq!(last("data: a\n\ndata: b\n\n"), "data: b\n\n");
        assert_eq!(last("data: a\n\ndata: b"), "data: b");
        assert_eq!(last("data: a\n\n"), "data: a\n\n");
        assert_eq!(last(""), "");
    }

    #[test]
    fn splitting_into_events_loses_nothing() {
        let script = Script::sse("data: a\n\n: note\n\ndata: rest").event_by_event();
        assert_eq!(script.writes.to_vec(), ["data: a\n\n", ": note\n\n", "data: rest"]);
    }

    #[test]
    fn an_event_midway_is_the_last() {
        let script = |writes| Script::events(["a", "b"]).event_after(writes, "x").writes.concat();
        assert_eq!(script(0), b"data: x\n\n");
        assert_eq!(script(1), b"data: a\n\ndata: x\n\n");
        assert_eq!(script(9), b"data: a\n\ndata: b\n\ndata: x\n\n");
    }

    #[test]
    fn a_header_replaces_one_of_its_name() {
        let script = Script::sse("x").header("Content-Type", "text/plain");
        assert_eq!(script.headers, [("Content-Type".to_owned(), "text/plain".to_owned())]);
    }
}
