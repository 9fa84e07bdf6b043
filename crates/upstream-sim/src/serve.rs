//! The server: connections in, one request after the other on each.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

use crate::{
    faults, files,
    guests::GuestBook,
    inbox::Inbox,
    log::{Answering, Log},
    outbox,
    plan::Plan,
    record::Recorded,
    route::{Dialect, Kind},
    script::Script,
    steps::Steps,
};

/// Sees each request, and the script for it before it is played.
pub(crate) type Onlooker = Box<dyn Fn(&Recorded, &Script) + Send + Sync>;

/// What all connections of one simulator share.
pub(crate) struct Shared {
    pub(crate) log: Arc<Log>,
    pub(crate) guests: GuestBook,
    pub(crate) plan: RwLock<Arc<dyn Plan>>,
    pub(crate) onlooker: OnceLock<Onlooker>,
}

/// Accepts until aborted. The connections are tasks of their own, so that one that stalls holds up
/// no other; they end with the set that owns them, which is dropped with this future.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.log.connected();
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                // Out of descriptors, most likely: let some connections end first.
                Err(_) => time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut inbox = Inbox::default();
    while let Some(request) = inbox.request(&stream).await {
        let kind = Kind::of(request.method(), request.path());
        let close = request.closes();
        let answering = shared.log.arrived(kind, request);
        let script = shared.script(&answering);
        if let Some(look) = shared.onlooker.get() {
            look(answering.request(), &script);
        }
        let steps = Steps::new(script, close);
        if !outbox::answer(&stream, &mut inbox, steps, answering).await {
            break;
        }
    }
}

impl Shared {
    fn script(&self, answering: &Answering) -> Script {
        let request = answering.request();
        match (answering.kind(), request.bearer()) {
            (Kind::Guest, token) => self.guests.answer(token),
            (Kind::Chat(Dialect::ZaiWeb), None) => faults::detail(401, "Not authenticated"),
            (Kind::Chat(Dialect::ZaiWeb), Some(token)) if self.guests.is_revoked(token) => {
                faults::detail(401, "This guest has left; its token is worth nothing any more.")
            }
            (Kind::Chat(Dialect::OpenAi), None) => {
                faults::api_error(401, "1001", "The request carries no API key.")
            }
            (Kind::Chat(Dialect::ZaiWeb | Dialect::OpenAi), Some(_)) => {
                let plan = self.plan.read().unwrap_or_else(PoisonError::into_inner).clone();
                plan.answer(request)
            }
            (Kind::Asked, _) => self.asked(),
            (Kind::File, token) => files::answer(token, request),
            (Kind::WrongMethod, _) => faults::detail(405, "Method Not Allowed"),
            (Kind::Unknown, _) => faults::detail(404, "Not Found"),
        }
    }

    /// The chat requests as JSON, for programs that cannot hold a [`Sim`](crate::Sim).
    fn asked(&self) -> Script {
        let chats = self.log.requests(|kind| matches!(kind, Kind::Chat(_)));
        let told = chats.iter().map(|chat| {
            json!({
                "number": chat.number,
                "path": chat.path,
                "outcome": chat.outcome.name(),
                "body": chat.json(),
            })
        });
        faults::json(200, &told.collect())
    }
}
