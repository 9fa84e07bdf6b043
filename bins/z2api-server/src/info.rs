//! What the gateway tells about itself: health, status, models.

use std::sync::atomic::Ordering::Relaxed;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use z2api_observability::now;
use z2api_upstream_client::{TokenState, TokenStatus};
use z2api_wire::openai::models::{Model, ModelList};

use crate::app::App;
use crate::auth::shows;
use crate::body::{Response, json, json_bytes};
use crate::error::ApiError;
use crate::live::Live;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
    version: &'static str,
    build_date: &'static str,
    description: &'static str,
    performance_mode: &'static str,
    config: HealthConfig,
    stats: HealthStats,
    improvements: [&'static str; 6],
    uptime_seconds: u64,
}

#[derive(Serialize)]
struct HealthConfig {
    max_retries: u32,
    retry_delay: u64,
    request_timeout: u64,
    random_delay: String,
    max_concurrent_connections: usize,
    stream_buffer_size: usize,
    connection_check_enabled: bool,
}

#[derive(Serialize)]
struct HealthStats {
    total_requests: u64,
    average_response_time: u64,
    error_rate: u64,
    current_connections: usize,
}

/// `GET /health`: 200 for as long as the process serves.
pub(crate) fn health(app: &App, live: &Live) -> Response {
    let retry = &live.retry;
    let health = Health {
        status: "ok",
        timestamp: now(),
        version: env!("CARGO_PKG_VERSION"),
        build_date: env!("Z2API_BUILD_DATE"),
        description: "A gateway between OpenAI-style clients and Z.ai's GLM models",
        performance_mode: live.performance_mode.as_str(),
        config: HealthConfig {
            max_retries: retry.retries,
            retry_delay: millis(retry.base),
            request_timeout: millis(live.limits.request),
            random_delay: format!("{}-{}ms", millis(retry.jitter_min), millis(retry.jitter_max)),
            max_concurrent_connections: app.admission.ceiling(),
            stream_buffer_size: live.limits.stream_buffer,
            connection_check_enabled: live.limits.heartbeat.is_some(),
        },
        stats: HealthStats {
            total_requests: app.counters.total_requests(),
            average_response_time: app.counters.average_response_time(),
            error_rate: app.counters.error_rate(),
            current_connections: app.in_flight(),
        },
        improvements: [
            "bounded queue in front of the request slots",
            "typed events from both upstream dialects",
            "balanced thinking tags in four modes",
            "errors as OpenAI error objects",
            "guest tokens, cached",
            "one log line in and one out for each request",
        ],
        uptime_seconds: app.counters.uptime().as_secs(),
    };
    json(StatusCode::OK, &health)
}

#[derive(Serialize)]
struct Status {
    current_connections: usize,
    max_connections: usize,
    memory_usage_mb: u64,
    memory_limit_mb: u64,
    total_requests: u64,
    error_count: u64,
    uptime_seconds: u64,
    queued: usize,
    log_lines_dropped: u64,
    client_connections: usize,
    tokens: Vec<Token>,
}

#[derive(Serialize)]
struct StatusLine {
    timestamp: String,
    level: &'static str,
    r#type: &'static str,
    #[serde(flatten)]
    status: Status,
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
}

impl Token {
    fn new(token: &TokenStatus) -> Self {
        let (state, left, reason) = match &token.state {
            TokenState::Ok => ("ok", None, None),
            TokenState::Cooling { left, reason } => ("cooling", Some(left), Some(reason)),
            TokenState::Parked { left, reason } => ("parked", Some(left), Some(reason)),
            TokenState::Dead { reason } => ("dead", None, Some(reason)),
        };
        Self {
            position: token.position,
            guest: token.guest,
            state,
            in_flight: token.in_flight,
            seconds_left: left.map(|left| left.as_secs()),
            reason: reason.cloned(),
        }
    }
}

/// `GET /health/live`: the process serves.
pub(crate) fn alive() -> Response {
    json(StatusCode::OK, &serde_json::json!({"status": "ok"}))
}

/// `GET /health/ready`: new work may come.
pub(crate) fn ready(app: &App) -> Response {
    if app.is_ready() {
        json(StatusCode::OK, &serde_json::json!({"status": "ready"}))
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"status": "not ready"}))
    }
}

/// `GET /status`.
pub(crate) fn status(app: &App, live: &Live, headers: &HeaderMap) -> Result<Response, ApiError> {
    if live.admin_key.is_some_and(|expected| !shows(headers, &expected)) {
        return Err(ApiError::no_admin_key());
    }
    Ok(json(StatusCode::OK, &status_of(app, live)))
}

/// The status as a line of the log.
pub(crate) fn status_line(app: &App, live: &Live) -> impl Serialize + use<> {
    let (timestamp, status) = (now(), status_of(app, live));
    StatusLine { timestamp, level: "INFO", r#type: "status", status }
}

fn status_of(app: &App, live: &Live) -> Status {
    const MIB: u64 = 1024 * 1024;
    Status {
        current_connections: app.in_flight(),
        max_connections: app.admission.ceiling(),
        memory_usage_mb: app.memory.resident().div_ceil(MIB),
        memory_limit_mb: live.limits.memory / MIB,
        total_requests: app.counters.total_requests(),
        error_count: app.counters.error_count(),
        uptime_seconds: app.counters.uptime().as_secs(),
        queued: app.admission.queued(),
        log_lines_dropped: app.log.dropped(),
        client_connections: app.connections.load(Relaxed),
        tokens: live.client.tokens().iter().map(Token::new).collect(),
    }
}

/// `GET /metrics`, in OpenMetrics' text form.
pub(crate) fn metrics(app: &App, live: &Live, headers: &HeaderMap) -> Result<Response, ApiError> {
    if !live.metrics {
        return Err(ApiError::unknown_path("/metrics"));
    }
    if live.admin_key.is_some_and(|expected| !shows(headers, &expected)) {
        return Err(ApiError::no_admin_key());
    }
    let text = app.counters.metrics().text(&app.readings());
    let mut response = json_bytes(StatusCode::OK, text.into_bytes());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// `GET /v1/models`: those that the caller may ask.
pub(crate) fn models(live: &Live, headers: &HeaderMap) -> Result<Response, ApiError> {
    let caller = live.keys.check(headers)?;
    let allowed = live.models.iter().filter(|model| caller.may_ask(&model.name));
    let data = allowed.map(|model| Model::new(&model.name, model.created)).collect();
    Ok(json(StatusCode::OK, &ModelList { object: "list", data }))
}

/// `GET /v1/models/{id}`.
pub(crate) fn model(live: &Live, headers: &HeaderMap, name: &str) -> Result<Response, ApiError> {
    let caller = live.keys.check(headers)?;
    let model = live.models.get(name).ok_or_else(|| ApiError::unknown_model(name))?;
    if !caller.may_ask(&model.name) {
        return Err(ApiError::model_not_allowed());
    }
    Ok(json(StatusCode::OK, &Model::new(&model.name, model.created)))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
