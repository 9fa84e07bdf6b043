//! What goes on, for `/status`, for the log, and for whoever watches.

use std::time::Duration;

use serde::Serialize;
use z2api_observability::{Queue, now};
use z2api_stream_transform::Model;
use z2api_upstream_client::{BreakerState, ModelLimit, TokenState, TokenStatus};

use crate::app::App;
use crate::live::Live;

const MIB: u64 = 1024 * 1024;

/// The present state. The names and the order of its first fields are a contract.
#[derive(Serialize)]
pub(crate) struct Status {
    current_connections: usize,
    max_connections: usize,
    memory_usage_mb: u64,
    memory_limit_mb: u64,
    total_requests: u64,
    error_count: u64,
    uptime_seconds: u64,
    /// For a slot, or for a place of their model's own.
    queued: usize,
    /// How many may wait.
    queue_size: usize,
    tokens: Vec<Token>,
    /// The whole table, which the lines of the log leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<OfModel>,
    /// Slots at the moment, where they follow the upstream.
    current_limit: usize,
    client_connections: usize,
    max_client_connections: usize,
    tasks: usize,
    /// How far memory is used, and so what is done about it.
    memory_state: &'static str,
    /// Set aside for request bodies.
    memory_reserved_mb: u64,
    /// Requests in flight that wait for one of the upstream's tokens.
    queued_for_token: usize,
    breaker: Breaker,
    dialect: &'static str,
    ready: bool,
    not_ready: Option<&'static str>,
    log_lines_dropped: u64,
    spans_dropped: u64,
}

/// A line of the log.
#[derive(Serialize)]
struct StatusLine {
    timestamp: String,
    level: &'static str,
    r#type: &'static str,
    #[serde(flatten)]
    status: Status,
}

/// Whether the upstream is asked, or left alone after failures in a row.
#[derive(Serialize)]
struct Breaker {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A token of the upstream's, by its place in the settings.
#[derive(Serialize)]
struct Token {
    position: usize,
    guest: bool,
    state: &'static str,
    in_flight: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the upstream's refusals taught about how many it takes at once.
    learned_limits: Vec<Learned>,
}

#[derive(Serialize)]
struct Learned {
    model: String,
    allowed: u32,
    in_flight: u32,
}

/// A model of the table. The numbers are there where it has a limit of its own, which its variants
/// share.
#[derive(Serialize)]
struct OfModel {
    name: String,
    thinking: bool,
    search: bool,
    vision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<usize>,
}

impl Status {
    /// As it is now.
    pub(crate) fn of(app: &App, live: &Live) -> Self {
        let not_ready = app.not_ready();
        Self {
            current_connections: app.in_flight(),
            max_connections: app.admission.ceiling(),
            memory_usage_mb: app.memory.resident().div_ceil(MIB),
            memory_limit_mb: live.limits.memory / MIB,
            total_requests: app.counters.total_requests(),
            error_count: app.counters.error_count(),
            uptime_seconds: app.counters.uptime().as_secs(),
            queued: app.queued(),
            queue_size: live.queue,
            tokens: live.client.tokens().into_iter().map(Token::new).collect(),
            models: live.models.iter().map(|model| OfModel::new(live, model)).collect(),
            current_limit: app.admission.limit(),
            client_connections: app.connections(),
            max_client_connections: app.caps().all,
            tasks: app.tasks(),
            memory_state: app.memory.rung().as_str(),
            memory_reserved_mb: app.memory.reserved().div_ceil(MIB),
            queued_for_token: app.queued_for(Queue::Token),
            breaker: Breaker::new(live.client.breaker()),
            dialect: live.dialect(),
            ready: not_ready.is_none(),
            not_ready,
            log_lines_dropped: app.log.dropped(),
            spans_dropped: app.spans().1,
        }
    }

    /// As a line of the log, which does not grow with the table of models.
    pub(crate) fn line(self) -> impl Serialize {
        let status = Self { models: Vec::new(), ..self };
        StatusLine { timestamp: now(), level: "INFO", r#type: "status", status }
    }
}

impl Breaker {
    fn new(state: BreakerState) -> Self {
        let (state, left, reason) = match state {
            BreakerState::Closed => ("closed", None, None),
            BreakerState::Open { left, reason } => ("open", Some(left), Some(reason)),
            BreakerState::Probing { reason } => ("probing", None, Some(reason)),
        };
        Self { state, seconds_left: left.map(|left| left.as_secs()), reason }
    }
}

impl Token {
    fn new(token: TokenStatus) -> Self {
        let TokenStatus { position, guest, in_flight, .. } = token;
        let (state, left, reason) = match token.state {
            TokenState::Ok => ("ok", None, None),
            TokenState::Cooling { left, reason } => ("cooling", Some(left), Some(reason)),
            TokenState::Parked { left, reason } => ("parked", Some(left), Some(reason)),
            TokenState::Dead { reason } => ("dead", None, Some(reason)),
        };
        let learned = token.limits.into_iter().map(Learned::new).collect();
        let seconds_left = left.as_ref().map(Duration::as_secs);
        Self { position, guest, state, in_flight, seconds_left, reason, learned_limits: learned }
    }
}

impl Learned {
    fn new(limit: ModelLimit) -> Self {
        Self { model: limit.model, allowed: limit.allowed, in_flight: limit.in_flight }
    }
}

impl OfModel {
    fn new(live: &Live, model: &Model) -> Self {
        let own = live.limit_of(model);
        Self {
            name: model.name.clone(),
            thinking: model.thinking,
            search: model.search,
            vision: model.vision,
            limit: own.map(|own| own.limit()),
            in_flight: own.map(|own| own.in_flight()),
            queued: own.map(|own| own.queued()),
        }
    }
}
