//! Metrics for Prometheus. No label is under a client's control.

mod ended;
mod labels;
mod readings;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use ended::Ended;
pub use labels::Owner;
use labels::{
    BuildLabels, KeyLabels, KindLabel, LearnedLabels, ModelLabel, OutcomeLabel, OwnerLabel,
    QueueLabel, ReasonLabel, RequestLabels, StateLabel, TokensLabels,
};
pub use readings::Readings;

use crate::waits::Queue;

/// The kinds of failure that are a fault of the gateway's code: what the alert about the gateway's own
/// failures looks at.
const OUR_FAULTS: [&str; 2] = ["panic", "internal_error"];
/// Why a connection is closed as soon as it is made.
const NO_PLACE: [&str; 3] = ["too_many", "too_many_operators", "out_of_files"];

/// All metrics of the gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    built: Family<BuildLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    by_key: Family<KeyLabels, Counter>,
    durations: Family<ModelLabel, Histogram, fn() -> Histogram>,
    first_tokens: Family<ModelLabel, Histogram, fn() -> Histogram>,
    first_bytes: Family<ModelLabel, Histogram, fn() -> Histogram>,
    per_token: Family<ModelLabel, Histogram, fn() -> Histogram>,
    queue_waits: Family<QueueLabel, Histogram, fn() -> Histogram>,
    failures: Family<KindLabel, Counter>,
    rejections: Family<ReasonLabel, Counter>,
    attempts: Family<OutcomeLabel, Counter>,
    cancels: Family<OwnerLabel, Counter>,
    truncations: Counter,
    retries: Counter,
    tokens: Family<TokensLabels, Counter>,
    bytes: Counter,
    events: Counter,
    event_delays: Histogram,
    unknown_events: Counter,
    edit_divergences: Counter,
    in_flight: Gauge,
    queued: Family<QueueLabel, Gauge>,
    limit: Gauge,
    connections: Gauge,
    connections_limit: Gauge,
    tasks: Gauge,
    dropped: Family<KindLabel, Counter>,
    memory: Gauge<u64, AtomicU64>,
    memory_limit: Gauge<u64, AtomicU64>,
    log_dropped: Counter,
    spans_sent: Counter,
    spans_dropped: Counter,
    uptime: Gauge<f64, AtomicU64>,
    upstream_tokens: Family<StateLabel, Gauge>,
    breaker: Family<StateLabel, Gauge>,
    learned: Family<LearnedLabels, Gauge>,
    /// One text at a time: some series are made anew for each.
    scraped: Mutex<()>,
    memory_state: Family<StateLabel, Gauge>,
    ready: Gauge,
}

/// From a millisecond to half an hour.
fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        120.0, 300.0, 600.0, 1800.0,
    ])
}

/// From half a millisecond to a second for each token.
fn seconds_a_token() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            built: Family::default(),
            requests: Family::default(),
            by_key: Family::default(),
            durations: Family::new_with_constructor(seconds),
            first_tokens: Family::new_with_constructor(seconds),
            first_bytes: Family::new_with_constructor(seconds),
            per_token: Family::new_with_constructor(seconds_a_token),
            queue_waits: Family::new_with_constructor(seconds),
            failures: Family::default(),
            rejections: Family::default(),
            attempts: Family::default(),
            cancels: Family::default(),
            truncations: Counter::default(),
            retries: Counter::default(),
            tokens: Family::default(),
            bytes: Counter::default(),
            events: Counter::default(),
            event_delays: Histogram::new(exponential_buckets(0.000_001, 4.0, 12)),
            unknown_events: Counter::default(),
            edit_divergences: Counter::default(),
            in_flight: Gauge::default(),
            queued: Family::default(),
            limit: Gauge::default(),
            connections: Gauge::default(),
            connections_limit: Gauge::default(),
            tasks: Gauge::default(),
            dropped: Family::default(),
            memory: Gauge::default(),
            memory_limit: Gauge::default(),
            log_dropped: Counter::default(),
            spans_sent: Counter::default(),
            spans_dropped: Counter::default(),
            uptime: Gauge::default(),
            upstream_tokens: Family::default(),
            breaker: Family::default(),
            learned: Family::default(),
            scraped: Mutex::default(),
            memory_state: Family::default(),
            ready: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        #[cfg(target_os = "linux")]
        self.registry
            .sub_registry_with_prefix("process")
            .register_collector(Box::new(crate::process::ProcessMetrics::new()));
        let all = self.registry.sub_registry_with_prefix("z2api");
        let help = "Which program it is, by its labels; always 1";
        all.register("build_info", help, self.built.clone());
        all.register("requests", "Requests that have ended", self.requests.clone());
        let help = "Chat requests that have ended, by the name of their key";
        all.register("key_requests", help, self.by_key.clone());
        let help = "Time from a chat request's head to its end";
        all.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        let help = "Time until the first byte of a chat answer's body; refusals are left out";
        all.register_with_unit("time_to_first_byte", help, Unit::Seconds, self.first_bytes.clone());
        let help = "Time from a chat request's head to the model's first token";
        all.register_with_unit(
            "time_to_first_token",
            help,
            Unit::Seconds,
            self.first_tokens.clone(),
        );
        let help = "Time for each token of an answer after the first, to the upstream's last event; \
                    without answers that waited for their clients for more than a tenth of it and \
                    0.1 s";
        all.register_with_unit(
            "time_per_output_token",
            help,
            Unit::Seconds,
            self.per_token.clone(),
        );
        let help = "Time that chat requests waited in a queue: for one of their model's places, for \
                    a slot, for a token of the upstream's";
        for queue in Queue::ALL {
            let _begins_at_0 = self.queue_waits.get_or_create(&QueueLabel { queue });
        }
        all.register_with_unit("queue_wait", help, Unit::Seconds, self.queue_waits.clone());
        // There from the start: of a counter that begins with its first failure, none is seen.
        for kind in OUR_FAULTS {
            let _begins_at_0 = self.failures.get_or_create(&KindLabel { kind });
        }
        all.register("failures", "Requests that failed, by kind", self.failures.clone());
        let help = "Chat requests that were turned away without asking the upstream, by reason: no \
                    room, a key over its share, or an upstream that is known to refuse or fail";
        all.register("rejections", help, self.rejections.clone());
        let help = "Times that the upstream was asked, by what came of it";
        all.register("upstream_attempts", help, self.attempts.clone());
        let help =
            "Upstream requests let go of before their answer was over, by whose doing it was";
        all.register("upstream_cancels", help, self.cancels.clone());
        let help = "Answers that the upstream broke off";
        all.register("upstream_truncations", help, self.truncations.clone());
        all.register("upstream_retries", "Attempts after the first", self.retries.clone());
        all.register("tokens", "Tokens as the upstream counts", self.tokens.clone());
        let help = "Bodies of the answers to chat requests, streamed or whole";
        all.register_with_unit("answer", help, Unit::Bytes, self.bytes.clone());
        let help = "Events of the upstream's answers to chat requests";
        all.register("stream_events", help, self.events.clone());
        let help = "Time from reading a stream's events to handing them on, one read in sixteen";
        all.register_with_unit("event_delay", help, Unit::Seconds, self.event_delays.clone());
        let help = "Upstream events of a shape that is not known";
        all.register("unknown_events", help, self.unknown_events.clone());
        let help = "Upstream edits of what a client already had";
        all.register("edit_divergences", help, self.edit_divergences.clone());
        let help = "Chat requests that hold a slot";
        all.register("requests_in_flight", help, self.in_flight.clone());
        let help = "Chat requests that wait, by queue; those that wait for a token hold a slot";
        all.register("requests_queued", help, self.queued.clone());
        all.register("requests_limit", "Slots for chat requests", self.limit.clone());
        all.register("connections", "Open client connections", self.connections.clone());
        let help = "Client connections beyond which no more are served";
        all.register("connections_limit", help, self.connections_limit.clone());
        all.register("tasks", "Tasks of the gateway, one for a connection", self.tasks.clone());
        let help = "Client connections that were refused or did not end by the protocol's rules, by \
                    what ended them";
        for kind in NO_PLACE {
            let _begins_at_0 = self.dropped.get_or_create(&KindLabel { kind });
        }
        all.register("connections_dropped", help, self.dropped.clone());
        let help = "Resident memory";
        all.register_with_unit("resident_memory", help, Unit::Bytes, self.memory.clone());
        let help =
            "Resident memory to stay below; z2api_memory_state tells what is done on the way there";
        all.register_with_unit("memory_limit", help, Unit::Bytes, self.memory_limit.clone());
        all.register("log_lines_dropped", "Log lines dropped", self.log_dropped.clone());
        let help = "Spans of traces that the collector has taken";
        all.register("spans_sent", help, self.spans_sent.clone());
        let help =
            "Spans of traces that were dropped: the collector is away, too slow, or rejects them";
        all.register("spans_dropped", help, self.spans_dropped.clone());
        all.register_with_unit("uptime", "Since the start", Unit::Seconds, self.uptime.clone());
        let help = "Tokens for the upstream, by state";
        all.register("upstream_tokens", help, self.upstream_tokens.clone());
        let help = "Whether the upstream's breaker is in a state";
        all.register("upstream_breaker", help, self.breaker.clone());
        let help = "Requests that a token may have in flight, as its refusals taught";
        all.register("upstream_learned_limit", help, self.learned.clone());
        let help = "Whether memory stands on a rung of its ladder";
        all.register("memory_state", help, self.memory_state.clone());
        all.register("ready", "Whether new work may come", self.ready.clone());
    }

    /// The program is of this version, and made of this revision of its sources.
    pub fn built(&self, version: &'static str, revision: &'static str) {
        self.built.get_or_create(&BuildLabels { version, revision }).set(1);
    }

    /// Bytes of a chat answer's body go out.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// Events of the upstream have come.
    pub(crate) fn events(&self, events: u64) {
        self.events.inc_by(events);
    }

    /// A part of a stream was made of events, in so long.
    pub(crate) fn delayed(&self, took: Duration) {
        self.event_delays.observe(took.as_secs_f64());
    }

    /// Events of the upstream's streams so far, of answers that are under way too.
    pub fn stream_events(&self) -> u64 {
        self.events.get()
    }

    /// The upstream sent what is not known, or rewrote what a client already had.
    pub fn odd_events(&self, unknown: u64, divergences: u64) {
        self.unknown_events.inc_by(unknown);
        self.edit_divergences.inc_by(divergences);
    }

    /// A client's connection has been dropped or refused, for a reason from a fixed list.
    pub fn connection_dropped(&self, kind: &'static str) {
        self.dropped.get_or_create(&KindLabel { kind }).inc();
    }
}
