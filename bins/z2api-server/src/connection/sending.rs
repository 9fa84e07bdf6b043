//! A streamed answer on its way out in HTTP/1.1.
//!
//! hyper has buffers of 8 KiB for each direction of a connection, and keeps them for as long as
//! the connection lives. While an answer is streamed nothing of them is of use: its head is written
//! here, and then each frame as a chunk (RFC 9112, 7.1), at once and from where it lies.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONNECTION, DATE, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ahead::Ahead;
use super::exchange::Tracked;

/// What ends a chunk, and one that is the last.
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// How much of a further request is read at most while an answer is sent.
const LOOK: usize = 512;
/// The size of a chunk, as text.
const SIZE_LINE: usize = 18;

/// Writes one answer. The body is asked for more only once what it gave has been written.
pub(crate) struct Sending<I> {
    pub(crate) io: Ahead<I>,
    /// None once it is over; what it gave last may still have to be written.
    body: Option<Tracked>,
    /// The head, and the size of the chunk.
    before: Vec<u8>,
    data: Bytes,
    after: &'static [u8],
    /// How many bytes of these three are written.
    written: usize,
    closes: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Sending<I> {
    /// An answer whose head says so closes the connection.
    pub(crate) fn new(io: Ahead<I>, answer: Response<Tracked>) -> Self {
        let (head, body) = answer.into_parts();
        let closes = head.headers.get(CONNECTION).is_some_and(|value| value == "close");
        let (before, data) = (written(head), Bytes::new());
        Self { io, body: Some(body), before, data, after: &[], written: 0, closes }
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
        if sent.is_pending() && self.body.is_some() {
            self.see_hang_up(cx)?;
        }
        sent
    }

    /// In TLS there is a word for it, and the connection below can be open still. The first bytes of
    /// a further request are kept for later; then no more is read.
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
            if self.data.is_empty() && self.after.is_empty() {
                self.load(cx)?;
            }
            if self.is_written() {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                return if self.body.is_none() { self.poll_end(cx) } else { Poll::Pending };
            }
            ready!(self.poll_write(cx))?;
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.closes {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        Poll::Ready(Ok(self.closes))
    }

    /// Takes the next frame, if it is there.
    fn load(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(body) = &mut self.body else { return Ok(()) };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => {}
            Poll::Ready(None) => {
                self.after = LAST_CHUNK;
                self.body = None;
            }
            Poll::Ready(Some(Err(let_go))) => return Err(io::Error::other(let_go)),
            Poll::Ready(Some(Ok(frame))) => {
                // An empty chunk would be the last; and there are no trailers.
                let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) else {
                    return self.load(cx);
                };
                write!(self.before, "{:x}\r\n", data.len()).expect("memory takes all");
                self.data = data;
                self.after = CHUNK_END;
                if body.is_end_stream() {
                    self.after = LAST_CHUNK_END;
                    self.body = None;
                }
            }
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.before.is_empty() && self.data.is_empty() && self.after.is_empty()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, before, data, after, written, .. } = self;
        while *written < before.len() + data.len() + after.len() {
            let mut skip = *written;
            let parts = [&before[..], &data[..], after].map(|part| {
                let gone = skip.min(part.len());
                skip -= gone;
                IoSlice::new(&part[gone..])
            });
            *written += match ready!(Pin::new(&mut *io).poll_write_vectored(cx, &parts))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => bytes,
            };
        }
        (*data, *after, *written) = (Bytes::new(), &[], 0);
        before.clear();
        // The head is gone for good, and so is its room.
        before.shrink_to(SIZE_LINE);
        Poll::Ready(Ok(()))
    }
}

/// The head in bytes.
fn written(Parts { status, mut headers, .. }: Parts) -> Vec<u8> {
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let now = httpdate::fmt_http_date(SystemTime::now());
    headers.entry(DATE).or_insert(HeaderValue::try_from(now).expect("a date is a header's value"));
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    push_lines(&mut head, &headers);
    head.extend_from_slice(b"\r\n");
    head
}

fn push_lines(head: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        head.extend_from_slice(name.as_ref());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
}
