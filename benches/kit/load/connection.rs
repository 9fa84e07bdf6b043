//! A kept-alive connection to the server, and an answer read from it.

use std::io::{self, ErrorKind, ErrorKind::UnexpectedEof};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::framing::{Framing, Head, bad};

/// Longer than any answer may take without a byte.
const PATIENCE: Duration = Duration::from_secs(120);
const READ: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: BytesMut,
    framing: Framing,
    /// When the last request was sent.
    pub(crate) asked: Instant,
    /// Whether the server ends the connection with this answer.
    pub(crate) closes: bool,
    /// Whether any byte of an answer to the last request has come.
    pub(crate) answered: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: BytesMut::new(),
            framing: Framing::Over,
            asked: Instant::now(),
            closes: false,
            answered: false,
        })
    }

    /// Whether the server has closed it, as far as is known here.
    pub(crate) fn is_closed(&self) -> bool {
        match self.stream.try_read(&mut [0]) {
            Ok(_end_or_nonsense) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Asks, and waits for the head of a good answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        match self.begin(request).await? {
            200 => Ok(()),
            status => Err(bad(format!("status {status}"))),
        }
    }

    /// Asks, and waits for the head of an answer. Tells its status.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> io::Result<u16> {
        self.asked = Instant::now();
        self.answered = false;
        self.stream.write_all(request).await?;
        let head = loop {
            match Head::read(&self.read)? {
                Some(head) => break head,
                None => self.more(READ).await?,
            }
        };
        self.read.advance(head.length);
        self.framing = head.framing;
        self.closes = head.closes;
        Ok(head.status)
    }

    /// Hands the next bytes of the body to `each`, after at most one read of at most `most` bytes.
    /// False at the end of the answer.
    pub(crate) async fn next(
        &mut self,
        most: usize,
        each: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        if !self.framing.is_over() && !self.step(each)? {
            self.more(most).await?;
            self.step(each)?;
        }
        Ok(!self.framing.is_over())
    }

    /// Reads the whole body. Answers how long its first byte took, and all of it.
    pub(crate) async fn finish(
        &mut self,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<(Duration, Duration)> {
        let asked = self.asked;
        let mut first = None;
        let mut take = |bytes: &[u8]| {
            first.get_or_insert_with(|| asked.elapsed());
            each(bytes)
        };
        while self.next(READ, &mut take).await? {}
        Ok((first.unwrap_or_default(), asked.elapsed()))
    }

    /// Reads on in what is there; false if it is nothing that can be read.
    fn step(&mut self, each: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let mut any = false;
        while !self.framing.is_over() {
            let (read, body) = self.framing.step(&self.read)?;
            if read == 0 {
                break;
            }
            if body > 0 {
                each(&self.read[..body])?;
            }
            self.read.advance(read);
            any = true;
        }
        Ok(any)
    }

    async fn more(&mut self, most: usize) -> io::Result<()> {
        self.read.reserve(most.min(READ));
        let mut limited = (&mut self.stream).take(most as u64);
        match timeout(PATIENCE, limited.read_buf(&mut self.read)).await?? {
            0 => Err(io::Error::new(UnexpectedEof, "the connection ended within an answer")),
            _some => {
                self.answered = true;
                Ok(())
            }
        }
    }
}
