//! Which connection a stream takes, and when another is opened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Driver, Sender};
use crate::connector::{Connector, speaks_http2};
use crate::direct::Direct;
use crate::http::POOL_IDLE;
use crate::transport::TransportError;

/// The most streams on one connection, whatever its peer allows: one task reads for all of them.
pub(super) const MAX_STREAMS: usize = 100;

/// All connections to one upstream.
pub(super) struct Lanes {
    connector: Connector,
    /// Where a connection goes that turns out to speak HTTP/1.1.
    single: Direct,
    state: Mutex<State>,
}

struct State {
    /// The upstream has chosen HTTP/1.1.
    refused: bool,
    lanes: Vec<Lane>,
    openings: Vec<Opening>,
    /// How many streams an opening is good for: as many as the last connection allowed. Before the
    /// first one, all wait for that.
    room: usize,
    /// The next lane's or opening's name.
    next: u64,
}

/// A connection, and how many streams it has.
struct Lane {
    id: u64,
    connection: Connection,
    in_flight: usize,
    idle_since: Instant,
}

/// A connection that is being opened, and how many requests wait for it.
struct Opening {
    id: u64,
    joined: usize,
    done: Done,
}

type Done = Shared<BoxFuture<'static, Result<(), TransportError>>>;

/// What a request is told.
pub(super) enum Turn {
    Take(Sender, Place),
    /// Ask again when this is done.
    Wait(Done),
    NotOffered,
}

/// A place for one stream. Dropping it gives the place back.
pub(super) struct Place {
    lanes: Arc<Lanes>,
    lane: u64,
}

impl Lanes {
    pub(super) fn new(connector: Connector, single: Direct) -> Self {
        let (lanes, openings) = (Vec::new(), Vec::new());
        let state = State { refused: false, lanes, openings, room: usize::MAX, next: 0 };
        Self { connector, single, state: Mutex::new(state) }
    }

    /// A place on the oldest connection that has one, so that younger ones fall idle first.
    pub(super) fn turn(lanes: &Arc<Self>) -> Turn {
        let mut state = lanes.lock();
        state.lanes.retain(|lane| !lane.connection.is_closed());
        if let Some(lane) = state.lanes.iter_mut().find(|lane| lane.has_room()) {
            lane.in_flight += 1;
            let place = Place { lanes: Arc::clone(lanes), lane: lane.id };
            return Turn::Take(lane.connection.sender(), place);
        }
        if state.refused {
            return Turn::NotOffered;
        }
        Turn::Wait(Self::join(lanes, &mut state))
    }

    /// Joins those who wait for a connection, or opens another if it would not do for all.
    fn join(lanes: &Arc<Self>, state: &mut State) -> Done {
        // One that is done and still here was given up together with its runtime.
        state.openings.retain(|opening| opening.done.peek().is_none());
        let room = state.room;
        if let Some(opening) = state.openings.iter_mut().find(|opening| opening.joined < room) {
            opening.joined += 1;
            return opening.done.clone();
        }
        state.next += 1;
        let id = state.next;
        // A task of its own, so that whoever came first can leave without taking it from others.
        let task = tokio::spawn(Arc::clone(lanes).open(id));
        let given_up = |_| Err(TransportError::connect("connecting was given up"));
        let done = async move { task.await.unwrap_or_else(given_up) }.boxed().shared();
        state.openings.push(Opening { id, joined: 1, done: done.clone() });
        done
    }

    async fn open(self: Arc<Self>, id: u64) -> Result<(), TransportError> {
        let opened = self.connector.in_time(self.begin()).await;
        let mut state = self.lock();
        state.openings.retain(|opening| opening.id != id);
        match opened? {
            None => state.refused = true,
            Some((connection, driver)) => {
                state.room = connection.room().clamp(1, MAX_STREAMS);
                tokio::spawn(tend(driver, Arc::downgrade(&self), id));
                let idle_since = Instant::now();
                state.lanes.push(Lane { id, connection, in_flight: 0, idle_since });
            }
        }
        Ok(())
    }

    /// None if the upstream has chosen HTTP/1.1.
    async fn begin(&self) -> Result<Option<(Connection, Driver)>, TransportError> {
        let socket = self.connector.connect().await?;
        if !speaks_http2(&socket) {
            self.single.keep(socket);
            return Ok(None);
        }
        Connection::begin(socket).await.map(Some)
    }

    /// The way for an upstream that speaks HTTP/1.1.
    pub(super) fn single(&self) -> Direct {
        self.single.clone()
    }

    /// Lets go of all connections without a stream.
    pub(super) fn close_idle(&self) {
        self.lock().lanes.retain(|lane| lane.in_flight > 0);
        self.single.close_idle();
    }

    /// Lets go of a connection that has had no stream for a while.
    fn retire_idle(&self, id: u64, idle: Duration) {
        let busy = |lane: &Lane| lane.in_flight > 0 || lane.idle_since.elapsed() < idle;
        self.lock().lanes.retain(|lane| lane.id != id || busy(lane));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn has_room(&self) -> bool {
        self.in_flight < self.connection.room().min(MAX_STREAMS)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lanes.lock();
        if let Some(lane) = state.lanes.iter_mut().find(|lane| lane.id == self.lane) {
            lane.in_flight -= 1;
            lane.idle_since = Instant::now();
        }
    }
}

/// Keeps a connection going until it has closed. It closes when it is let go of and its last
/// stream has ended.
async fn tend(driver: Driver, lanes: Weak<Lanes>, id: u64) {
    let mut closed = std::pin::pin!(driver.closed());
    while timeout(POOL_IDLE, &mut closed).await.is_err() {
        if let Some(lanes) = lanes.upgrade() {
            lanes.retire_idle(id, POOL_IDLE);
        }
    }
}
