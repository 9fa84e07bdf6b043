//! What all requests share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, watch};
use z2api_admission::Admission;
use z2api_config::Config;
use z2api_observability::{Counters, LogFilter, LogSink, Queue, Readings, Tracer};
use z2api_upstream_client::{BreakerState, Client, SettingsError, TokenState};

use crate::connection::{Caps, Descriptors, Gate, OPERATORS, Place, Refusals};
use crate::dashboard::{MAX_WATCHERS, Paces, Past};
use crate::live::Live;
use crate::memory::{Memory, MemorySource, Rung};
use crate::responses_store::ResponseStore;

/// The gateway without its listener. Shared by all connections.
#[derive(Debug)]
pub struct App {
    live: ArcSwap<Live>,
    pub(crate) admission: Admission,
    pub(crate) memory: Memory,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: LogSink,
    log_filter: Option<LogFilter>,
    /// Takes the spans of requests, if they are traced.
    pub(crate) tracer: Option<Tracer>,
    /// Whether the pages for the operator are served at an address of their own.
    pub(crate) admin_apart: bool,
    /// Answers that later requests may follow.
    pub(crate) responses: Arc<ResponseStore>,
    /// What the live page is told of the time before it was opened.
    pub(crate) past: Past,
    /// How fast the last answers came, for the same.
    pub(crate) paces: Paces,
    /// Counts client connections.
    pub(crate) gate: Arc<Gate>,
    /// Counts those that come by the operator's own way in.
    operators: Arc<Gate>,
    /// What the log has been told of connections that came to nothing.
    pub(crate) refusals: Refusals,
    descriptors: Descriptors,
    /// The runtimes that it runs in, once it serves.
    pub(crate) runtimes: OnceLock<Vec<Handle>>,
    /// Told to stop: not ready for new work any more.
    pub(crate) stopping: AtomicBool,
    /// Set when no new work is taken any more.
    pub(crate) draining: watch::Sender<bool>,
    /// Places for those who watch the live page.
    pub(crate) watchers: Arc<Semaphore>,
    /// One scrape of the metrics at a time.
    pub(crate) scrapes: Arc<Mutex<()>>,
    /// Set when running requests are out of time.
    pub(crate) out_of_time: watch::Sender<bool>,
}

/// Why the gateway cannot be built, or cannot take new settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The upstream cannot be asked with these settings.
    #[error(transparent)]
    Upstream(#[from] SettingsError),
    /// Traces cannot be sent with these settings.
    #[error("the endpoint of traces: {0}")]
    Traces(String),
    /// The log's filter makes no sense.
    #[error("the log's filter: {0}")]
    LogFilter(String),
}

impl App {
    /// Puts the parts together. With a handle to the log's filter, a reload can change it.
    ///
    /// # Errors
    /// [`BuildError`] for settings that no upstream client can have.
    pub fn build(
        config: Config,
        log: LogSink,
        log_filter: Option<LogFilter>,
    ) -> Result<Arc<Self>, BuildError> {
        Self::build_with(config, log, log_filter, None)
    }

    /// As [`App::build`], with word of memory from elsewhere than the system.
    ///
    /// # Errors
    /// [`BuildError`] for settings that no upstream client can have.
    pub fn build_with(
        config: Config,
        log: LogSink,
        log_filter: Option<LogFilter>,
        memory: Option<MemorySource>,
    ) -> Result<Arc<Self>, BuildError> {
        let admission = Admission::new(config.admission);
        let responses = Arc::new(ResponseStore::new(config.limits.responses));
        let tracer = config.traces.as_ref().map(Tracer::start).transpose();
        let tracer = tracer.map_err(BuildError::Traces)?;
        let admin_apart = config.admin_listen.is_some();
        let live = Live::new(config, None)?;
        let counters = Arc::new(Counters::default());
        counters.metrics().built(env!("CARGO_PKG_VERSION"), env!("Z2API_COMMIT"));
        Ok(Arc::new(Self {
            admission,
            memory: Memory::new(memory, live.limits.memory),
            responses,
            live: ArcSwap::from_pointee(live),
            counters,
            log,
            log_filter,
            tracer,
            admin_apart,
            past: Past::default(),
            paces: Paces::default(),
            gate: Arc::default(),
            operators: Arc::default(),
            refusals: Refusals::default(),
            descriptors: Descriptors::raise(admin_apart),
            runtimes: OnceLock::new(),
            stopping: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            scrapes: Arc::default(),
            out_of_time: watch::Sender::new(false),
        }))
    }

    /// Takes new settings without dropping a request. Answers the variables whose change needs a
    /// restart.
    ///
    /// # Errors
    /// [`BuildError`]; nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, BuildError> {
        let before = self.live();
        let restart = before.needs_restart(&config);
        let admission = config.admission;
        let live = Live::new(config, Some(&before))?;
        if let Some(filter) = &self.log_filter {
            filter.set(&live.log.filter).map_err(BuildError::LogFilter)?;
        }
        self.live.store(Arc::new(live));
        self.admission.set(admission);
        Ok(restart)
    }

    /// How many requests hold a slot.
    pub fn in_flight(&self) -> usize {
        self.admission.in_flight()
    }

    /// How many requests wait to be in flight.
    pub(crate) fn queued(&self) -> usize {
        self.queued_for(Queue::Model) + self.queued_for(Queue::Slot)
    }

    /// How many requests are in one of the queues. Those that wait for a token are in flight.
    pub(crate) fn queued_for(&self, queue: Queue) -> usize {
        match queue {
            Queue::Model => self.live().queued_for_models(),
            Queue::Slot => self.admission.queued(),
            Queue::Token => self.live().client.waiting(),
        }
    }

    /// How many client connections are open.
    pub fn connections(&self) -> usize {
        self.gate.all()
    }

    /// How many tasks there are: one for each connection, and a few of the gateway's own.
    pub fn tasks(&self) -> usize {
        let runtimes = self.runtimes.get().into_iter().flatten();
        runtimes.map(|runtime| runtime.metrics().num_alive_tasks()).sum()
    }

    /// Takes no new work any more, and refuses what waits. What runs goes on.
    pub(crate) fn drain(&self) {
        self.admission.drain();
        self.draining.send_replace(true);
        self.live().drain();
    }

    /// What the metrics read off at the moment of asking.
    pub(crate) fn readings(&self) -> Readings {
        let live = self.live();
        Readings {
            in_flight: self.in_flight(),
            queued: Queue::ALL.map(|queue| (queue, self.queued_for(queue))),
            limit: self.admission.limit(),
            connections: self.connections(),
            connections_limit: self.caps().all,
            tasks: self.tasks(),
            memory: self.memory.resident(),
            memory_limit: live.limits.memory,
            log_dropped: self.log.dropped(),
            spans: self.spans(),
            uptime: self.counters.uptime(),
            tokens: token_states(&live.client),
            breaker: breaker_states(&live.client),
            learned: learned_limits(&live.client),
            memory_states: self.memory.states(),
            ready: self.not_ready().is_none(),
        }
    }

    /// How many spans of traces were sent, and how many dropped.
    pub(crate) fn spans(&self) -> (u64, u64) {
        self.tracer.as_ref().map(Tracer::counts).unwrap_or_default()
    }

    /// How many connections there may be.
    pub(crate) fn caps(&self) -> Caps {
        let live = self.live();
        let set = (live.peers.max, live.peers.per_address);
        self.descriptors.caps(set, self.admission.ceiling(), live.queue)
    }

    /// A place for a connection, if there is one. What runs on this machine, or is known to stand
    /// for many clients, is not held to the limit of an address.
    pub(crate) fn place_for(&self, address: IpAddr) -> Option<Place> {
        let exempt = address.is_loopback() || self.live().trusts(&address);
        let closed = self.memory.rung() >= Rung::Closed;
        self.gate.enter(address, self.caps(), exempt, closed)
    }

    /// A place for a connection at the operator's own way in. The clients' are not counted there, and
    /// no shortage closes it: that is when it is needed.
    pub(crate) fn operators_place_for(&self, address: IpAddr) -> Option<Place> {
        self.operators.enter_fully(address, OPERATORS)
    }

    /// A line about what the limit of open files allows.
    pub fn room(&self) -> String {
        self.descriptors.tell(self.admission.ceiling())
    }

    /// The settings as they are now.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Why new work should go elsewhere, if it should: the gateway stops, is short of memory, or has
    /// no token of use.
    pub fn not_ready(&self) -> Option<&'static str> {
        let live = self.live();
        if self.stopping.load(Relaxed) {
            return Some("stopping");
        }
        if self.memory.is_short() {
            return Some("out_of_memory");
        }
        if live.client.has_token() {
            return None;
        }
        // Perhaps no request comes that would find out whether it is still so.
        live.client.try_again();
        Some("no_usable_token")
    }
}

/// How many of the upstream's tokens are in each state.
fn token_states(client: &Client) -> Vec<(&'static str, usize)> {
    let tokens = client.tokens();
    let count = |wanted: fn(&TokenState) -> bool| {
        tokens.iter().filter(|token| wanted(&token.state)).count()
    };
    vec![
        ("ok", count(|state| matches!(state, TokenState::Ok))),
        ("cooling", count(|state| matches!(state, TokenState::Cooling { .. }))),
        ("parked", count(|state| matches!(state, TokenState::Parked { .. }))),
        ("dead", count(|state| matches!(state, TokenState::Dead { .. }))),
    ]
}

/// The states of the upstream's breaker, and whether it is in them.
fn breaker_states(client: &Client) -> Vec<(&'static str, bool)> {
    let state = client.breaker();
    vec![
        ("closed", matches!(state, BreakerState::Closed)),
        ("open", matches!(state, BreakerState::Open { .. })),
        ("probing", matches!(state, BreakerState::Probing { .. })),
    ]
}

/// What refusals taught about each token and model.
fn learned_limits(client: &Client) -> Vec<(usize, String, u32)> {
    let tokens = client.tokens();
    let limits = tokens.into_iter().flat_map(|token| {
        let position = token.position;
        token.limits.into_iter().map(move |limit| (position, limit.model, limit.allowed))
    });
    limits.collect()
}
