//! A streamed answer on its way out in HTTP/1.1.
//!
//! hyper has buffers of 8 KiB for each direction of a connection, and keeps them for as long as
//! the connection lives. While an answer is streamed nothing of them is of use: its head is written
//! here, and then each frame as a chunk (RFC 9112, 7.1), at once and from where it lies.

use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ahead::Ahead;
use super::exchange::Tracked;
use super::head::written;
use crate::body::{Frames, NoRest};

/// What ends a chunk, and one that is the last.
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// How much of a further request is read at most while an answer is sent.
const LOOK: usize = 512;
/// How many chunks are written together, if they are there, and how many bytes are gathered for
/// that before the next one.
const TOGETHER: usize = 6;
const GATHERED: usize = 64 * 1024;

/// Writes one answer. The body is asked for more only once what it gave has been written.
pub(crate) struct Sending<I> {
    pub(crate) io: Ahead<I>,
    /// None once it is over; what it gave last may still have to be written.
    body: Option<Tracked>,
    /// Why it has no rest. Told by the connection, once what came before has been written.
    broken: Option<NoRest>,
    /// Empty once it is written.
    head: Vec<u8>,
    chunks: Vec<Chunk>,
    /// How many bytes of these two are written.
    written: usize,
    closes: bool,
    /// The client can say goodbye within what it sends: that is read.
    is_heard: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Sending<I> {
    /// An answer whose head says so closes the connection. In TLS a client can say goodbye while
    /// the connection below stays open; `is_heard` is for that.
    pub(crate) fn new(io: Ahead<I>, answer: Response<Tracked>, is_heard: bool) -> Self {
        let (head, body) = answer.into_parts();
        let closes = head.headers.get(CONNECTION).is_some_and(|value| value == "close");
        let Parts { status, mut headers, .. } = head;
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let (head, chunks) = (written(status, headers), Vec::new());
        Self { io, body: Some(body), broken: None, head, chunks, written: 0, closes, is_heard }
    }

    /// No further request is taken after this answer.
    pub(crate) fn close_at_end(&mut self) {
        self.closes = true;
    }

    /// Ready with the answer's end: whether the connection has been closed with it.
    ///
    /// # Errors
    /// Of the kind `UnexpectedEof` if the client has hung up.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let sent = self.poll_written(cx);
        let is_sent = self.body.is_none() && self.io.is_flushed();
        if self.is_heard && sent.is_pending() && !is_sent {
            self.see_hang_up(cx)?;
        }
        sent
    }

    /// The first bytes of a further request are kept for later; then no more is read.
    fn see_hang_up(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (mut space, io) = ([0; LOOK], &mut self.io);
        if io.has_bytes() {
            return Ok(());
        }
        let mut read = ReadBuf::new(&mut space);
        match Pin::new(&mut *io).poll_read(cx, &mut read) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) if read.filled().is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Poll::Ready(Ok(())) => {
                io.put_back(read.filled());
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let waits = self.chunks.is_empty() && self.gather(cx);
            ready!(self.poll_write(cx))?;
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            let Some(body) = &mut self.body else { return self.poll_end(cx) };
            // It was asked in this turn, and nothing was waited for since: it wakes this task.
            if waits {
                body.frames().into_iter().for_each(Frames::taken_at_once);
                return Poll::Pending;
            }
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Err(io::Error::other(broken)));
        }
        if self.closes {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        Poll::Ready(Ok(self.closes))
    }

    /// Takes what is there of the body, up to a bound. Whether it waits for more to come.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        let mut gathered = 0;
        while let Some(body) = &mut self.body {
            if gathered >= GATHERED || self.chunks.len() >= TOGETHER {
                return false;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => {
                    if !self.chunks.is_empty() {
                        body.frames().into_iter().for_each(Frames::not_taken_yet);
                    }
                    return true;
                }
                Poll::Ready(None) => {
                    self.chunks.push(Chunk::last());
                    self.body = None;
                }
                Poll::Ready(Some(Err(broken))) => {
                    self.broken = Some(broken);
                    self.body = None;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // An empty chunk would be the last; and there are no trailers.
                    let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) else {
                        continue;
                    };
                    gathered += data.len();
                    let is_last = body.is_end_stream();
                    let waits = body.frames().is_some_and(|frames| frames.is_waiting());
                    self.chunks.push(Chunk::new(data, is_last));
                    if is_last {
                        self.body = None;
                    } else if waits {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, head, chunks, written, .. } = self;
        loop {
            let mut skip = *written;
            let mut parts = [IoSlice::new(&[]); 1 + 3 * TOGETHER];
            let all = iter::once(&head[..]).chain(chunks.iter().flat_map(Chunk::parts));
            let mut count = 0;
            for part in all {
                let gone = skip.min(part.len());
                skip -= gone;
                if gone < part.len() {
                    parts[count] = IoSlice::new(&part[gone..]);
                    count += 1;
                }
            }
            if count == 0 {
                break;
            }
            *written += match ready!(Pin::new(&mut *io).poll_write_vectored(cx, &parts[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => bytes,
            };
        }
        // The head is gone for good, and so is its room.
        (*head, *written) = (Vec::new(), 0);
        chunks.clear();
        Poll::Ready(Ok(()))
    }
}

/// A piece of the body, framed.
struct Chunk {
    size: Size,
    data: Bytes,
    end: &'static [u8],
}

impl Chunk {
    fn new(data: Bytes, is_last: bool) -> Self {
        let end = if is_last { LAST_CHUNK_END } else { CHUNK_END };
        Self { size: Size::of(data.len()), data, end }
    }

    /// Only the end.
    fn last() -> Self {
        Self { size: Size::NONE, data: Bytes::new(), end: LAST_CHUNK }
    }

    fn parts(&self) -> [&[u8]; 3] {
        [self.size.as_bytes(), &self.data, self.end]
    }
}

/// The line before a chunk's data.
struct Size {
    text: [u8; Self::ROOM],
    from: usize,
}

impl Size {
    /// For sixteen digits.
    const ROOM: usize = 18;
    const NONE: Self = Self { text: [0; Self::ROOM], from: Self::ROOM };

    fn of(mut size: usize) -> Self {
        let (mut text, mut from) = ([0; Self::ROOM], Self::ROOM - CHUNK_END.len());
        text[from..].copy_from_slice(CHUNK_END);
        while size > 0 {
            from -= 1;
            text[from] = b"0123456789abcdef"[size % 16];
            size /= 16;
        }
        Self { text, from }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures::FutureExt;
    use futures::future::poll_fn;
    use z2api_config::{Config, Flags};

    use super::super::watch::Watch;
    use super::*;
    use crate::body::Body;

    /// Gives these frames, then waits; or breaks for good.
    #[derive(Debug)]
    struct Given {
        frames: VecDeque<&'static str>,
        breaks: bool,
        polled_in_vain: Arc<AtomicUsize>,
    }

    impl Frames for Given {
        fn poll_bytes(&mut self, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(Bytes::from_static(frame.as_bytes())));
            }
            assert!(!self.breaks, "it breaks");
            self.polled_in_vain.fetch_add(1, Relaxed);
            Poll::Pending
        }

        fn is_waiting(&self) -> bool {
            self.frames.is_empty() && !self.breaks
        }

        fn broke(&mut self) {}

        fn is_over(&self) -> bool {
            false
        }
    }

    /// Takes what is written, up to so many bytes a call; each call's bytes are told.
    struct Taking {
        most: usize,
        calls: Vec<String>,
    }

    impl AsyncRead for Taking {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Taking {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            bytes.truncate(self.most);
            self.calls.push(String::from_utf8(bytes.clone()).unwrap());
            Poll::Ready(Ok(bytes.len()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What one turn of the task comes to: its outcome, the calls without the head, and how often
    /// the body was asked in vain.
    fn turn(
        frames: &[&'static str],
        breaks: bool,
        most: usize,
    ) -> (Option<io::Result<bool>>, Vec<String>, usize) {
        let config = Config::from_lookup(&Flags::default(), &|_| None).unwrap();
        let watch = Arc::new(Watch::new(&config.peers, &config.limits));
        let polled_in_vain = Arc::new(AtomicUsize::new(0));
        let given = Given {
            frames: frames.iter().copied().collect(),
            breaks,
            polled_in_vain: polled_in_vain.clone(),
        };
        let body = Tracked::alone(Body::Stream(Box::new(given)), &watch);
        let io = Ahead::new(Taking { most, calls: Vec::new() });
        let mut sending = Sending::new(io, Response::new(body), false);
        let sent = poll_fn(|cx| sending.poll_sent(cx)).now_or_never();
        let mut calls = sending.io.into_inner().calls;
        if let Some((_, after)) = calls[0].split_once("\r\n\r\n") {
            calls[0] = after.to_owned();
        }
        (sent, calls, polled_in_vain.load(Relaxed))
    }

    #[test]
    fn what_is_there_is_written_with_one_call_and_not_asked_for_again() {
        let (sent, calls, in_vain) = turn(&["one", "", "two and more words"], false, usize::MAX);
        assert!(sent.is_none());
        assert_eq!(calls, ["3\r\none\r\n12\r\ntwo and more words\r\n"]);
        assert_eq!(in_vain, 0);
    }

    #[test]
    fn a_socket_that_takes_little_gets_all_of_it_in_order() {
        let frames = ["one", "two", "3", "4", "5", "6", "7", "8"];
        let (_, calls, _) = turn(&frames, false, 1);
        let all = calls.concat();
        let (_, body) = all.split_once("\r\n\r\n").unwrap();
        let expected: String = frames.iter().map(|f| format!("{:x}\r\n{f}\r\n", f.len())).collect();
        assert_eq!(body, expected);
    }

    #[test]
    fn what_came_before_a_break_is_written_before_the_connection_ends() {
        let (sent, calls, _) = turn(&["one", "two"], true, usize::MAX);
        assert!(sent.unwrap().is_err());
        assert_eq!(calls, ["3\r\none\r\n3\r\ntwo\r\n"]);
    }

    #[test]
    fn a_size_is_a_line_in_hexadecimal() {
        for size in [1, 9, 10, 15, 16, 255, 256, 0xabcdef, usize::MAX] {
            assert_eq!(Size::of(size).as_bytes(), format!("{size:x}\r\n").as_bytes());
        }
    }
}
