//! The handle to a running simulator.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use tokio::{net::TcpListener, task::AbortHandle, time};

use crate::{
    guests::{GuestBook, Guests},
    log::Log,
    plan::Plan,
    record::{Outcome, Recorded},
    route::Kind,
    script::Script,
    serve::{Shared, serve},
};

/// A simulated upstream on a loopback socket. Dropping it stops the server and closes every
/// connection.
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl Sim {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no socket can be had.
    pub async fn start(plan: impl Plan) -> io::Result<Self> {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into(), plan).await
    }

    /// Starts one on this address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the address is not a loopback one (a simulator is nobody else's
    /// business), or whatever binding the socket gives.
    pub async fn bind(addr: SocketAddr, plan: impl Plan) -> io::Result<Self> {
        if !addr.ip().is_loopback() {
            let text = format!("{addr} is not a loopback address");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            log: Arc::new(Log::new()),
            guests: GuestBook::default(),
            plan: RwLock::new(Arc::new(plan)),
            onlooker: OnceLock::new(),
        });
        // A task, because the server runs while the test or the gateway does; `Drop` stops it.
        let server = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { addr, shared, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The chat URL of the `zai-web` dialect.
    pub fn web_url(&self) -> String {
        format!("http://{}/api/chat/completions", self.addr)
    }

    /// The chat URL of the `openai` dialect.
    pub fn openai_url(&self) -> String {
        format!("http://{}/api/paas/v4/chat/completions", self.addr)
    }

    /// Everything asked so far, in order of arrival: the last 100,000 requests, or fewer when
    /// their bodies are very long.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.requests(|_| true)
    }

    /// Only the chat requests, the refused ones among them.
    pub fn chats(&self) -> Vec<Recorded> {
        self.shared.log.requests(|kind| matches!(kind, Kind::Chat(_)))
    }

    /// How many chat requests there were; cheaper than counting [`Sim::chats`].
    pub fn chat_requests(&self) -> usize {
        self.shared.log.chats()
    }

    /// How the answer to the chat request of this number has ended so far; none when there is no
    /// such request, or not any more. Cheaper than looking for it in [`Sim::chats`].
    pub fn outcome(&self, chat: usize) -> Option<Outcome> {
        self.shared.log.outcome(chat)
    }

    /// How often the guest endpoint was asked.
    pub fn guest_requests(&self) -> usize {
        self.shared.log.guests()
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.log.connections()
    }

    /// How many chat answers are on their way now, stalled and late ones among them.
    pub fn open_streams(&self) -> usize {
        self.shared.log.open_streams()
    }

    /// Waits until `what` is true, asked again after each change; false when it is not `within`
    /// that time. Safe to be dropped at any time.
    pub async fn until(&self, what: impl Fn(&Self) -> bool, within: Duration) -> bool {
        let mut changes = self.shared.log.changes();
        let becomes_true = async {
            while !what(self) {
                if changes.changed().await.is_err() {
                    // The log lives as long as this handle: not reached.
                    std::future::pending::<()>().await;
                }
            }
        };
        time::timeout(within, becomes_true).await.is_ok()
    }

    /// Answers by another plan from the next chat request on.
    pub fn set_plan(&self, plan: impl Plan) {
        *self.shared.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// Shows each request, chat or not, from now on, with the script for it before that is played. Only the
    /// first onlooker is taken.
    pub fn look_on(&self, look: impl Fn(&Recorded, &Script) + Send + Sync + 'static) {
        let _ = self.shared.onlooker.set(Box::new(look));
    }

    /// Sets how the guest endpoint behaves from now on.
    pub fn guests(&self, guests: Guests) {
        self.shared.guests.behave(guests);
    }

    /// Makes the guest tokens given so far worthless: the web dialect answers them with 401.
    pub fn revoke_guests(&self) {
        self.shared.guests.revoke();
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.server.abort();
    }
}
