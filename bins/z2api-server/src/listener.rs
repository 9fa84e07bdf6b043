//! The socket that clients connect to: our own, or one that was handed over.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// How many connections may wait to be taken. The kernel may allow fewer.
const BACKLOG: i32 = 4096;

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    /// Whoever handed it over keeps it open: what waits there is for our successor.
    pub(crate) is_shared: bool,
    /// Where the pages for the operator are served, if not here.
    pub(crate) admin: Option<TcpListener>,
}

impl Listener {
    /// Serves the pages for the operator at an address of their own.
    ///
    /// # Errors
    /// If the port is taken or not allowed; the message names the address.
    pub fn with_admin(mut self, address: Option<SocketAddr>) -> io::Result<Self> {
        self.admin = address.map(|address| open(address, "ADMIN_ADDR")).transpose()?;
        Ok(self)
    }

    /// Where the pages for the operator are, if not here.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Takes the socket that was handed over (`LISTEN_FDS`, as systemd does it); without one, listens
/// on the address.
///
/// # Errors
/// If the port is taken or not allowed, or if what was handed over is not one TCP socket.
pub fn listen(address: SocketAddr) -> io::Result<Listener> {
    match handed_over()? {
        Some(socket) => Ok(Listener { socket, is_shared: true, admin: None }),
        None => bind(address),
    }
}

/// Listens on an address.
///
/// # Errors
/// If the port is taken or not allowed; the message names the address.
pub fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = open(address, "HOST, PORT")?;
    Ok(Listener { socket, is_shared: false, admin: None })
}

fn open(address: SocketAddr, named: &str) -> io::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|error| {
        let message = format!("cannot listen on {address} ({named}): {error}");
        io::Error::new(error.kind(), message)
    })
}

fn handed_over() -> io::Result<Option<TcpListener>> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        let message = format!("{} sockets were handed over (LISTEN_FDS), not one", handed.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if handed.len() == 0 {
        return Ok(None);
    }
    let unfit = |error| {
        let message = format!("the socket that was handed over (LISTEN_FDS): {error}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let Some(socket) = handed.take_tcp_listener(0).map_err(unfit)? else { return Ok(None) };
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket).map(Some).map_err(unfit)
}
