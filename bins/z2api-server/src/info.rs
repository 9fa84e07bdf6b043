//! What the gateway tells about itself: health, status, models.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use z2api_observability::{RequestRecord, now};
use z2api_wire::anthropic::models as anthropic;
use z2api_wire::openai::models::{Model, ModelList};

use crate::app::App;
use crate::body::{Response, json, json_bytes};
use crate::error::ApiError;
use crate::live::Live;
use crate::operator::check_operator;
use crate::shape::Shape;
use crate::status::Status;

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

/// `GET /health/live`: the process serves.
pub(crate) fn alive() -> Response {
    json(StatusCode::OK, &serde_json::json!({"status": "ok"}))
}

/// `GET /health/ready`: new work may come, or why not.
pub(crate) fn ready(app: &App, record: &mut RequestRecord) -> Response {
    match app.not_ready() {
        None => json(StatusCode::OK, &serde_json::json!({"status": "ready"})),
        Some(reason) => {
            record.not_ready(reason);
            let why = serde_json::json!({"status": "not ready", "reason": reason});
            json(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
    }
}

/// `GET /status`.
pub(crate) fn status(
    app: &App,
    live: &Live,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    check_operator(live, peer, headers)?;
    Ok(json(StatusCode::OK, &Status::of(app, live)))
}

/// `GET /metrics`, in OpenMetrics' text form whatever the caller accepts. The crate writes no other
/// text; and the kind is told, by which scrapers choose their parser.
///
/// Made one at a time, and on no thread that serves connections: with a thousand models it is
/// megabytes.
pub(crate) async fn metrics(
    app: &Arc<App>,
    live: &Live,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if !live.metrics {
        return Err(ApiError::unknown_path("/metrics"));
    }
    check_operator(live, peer, headers)?;
    // Waited for here, so that many scrapes take one thread and not all of them.
    let turn = app.scrapes.clone().lock_owned().await;
    let scraped = app.clone();
    let text = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        scraped.counters.metrics().text(&scraped.readings())
    });
    let text = text.await.map_err(|_| ApiError::internal())?;
    let mut response = json_bytes(StatusCode::OK, text.into_bytes());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// `GET /v1/models`: those that the caller may ask.
pub(crate) fn models(
    live: &Live,
    headers: &HeaderMap,
    shape: Shape,
    record: &mut RequestRecord,
) -> Result<Response, ApiError> {
    let caller = live.keys.check_as(shape, headers)?.noted(record);
    let allowed = live.models.iter().filter(|model| caller.may_ask(&model.name));
    Ok(match shape {
        Shape::OpenAi => {
            json(StatusCode::OK, &ModelList { object: "list", data: allowed.map(shown).collect() })
        }
        Shape::Anthropic => {
            let data = allowed.map(shown_to_anthropics).collect();
            json(StatusCode::OK, &anthropic::ModelList::of(data))
        }
    })
}

/// `GET /v1/models/{id}`.
pub(crate) fn model(
    live: &Live,
    headers: &HeaderMap,
    shape: Shape,
    name: &str,
    record: &mut RequestRecord,
) -> Result<Response, ApiError> {
    let caller = live.keys.check_as(shape, headers)?.noted(record);
    // Clients encode the slash that a name may have.
    let name = percent_decode_str(name).decode_utf8_lossy();
    let model = live.models.get(&name).ok_or_else(|| ApiError::unknown_model(&name))?;
    if !caller.may_ask(&model.name) {
        return Err(ApiError::model_not_allowed());
    }
    Ok(match shape {
        Shape::OpenAi => json(StatusCode::OK, &shown(model)),
        Shape::Anthropic => json(StatusCode::OK, &shown_to_anthropics(model)),
    })
}

fn shown(model: &z2api_stream_transform::Model) -> Model<'_> {
    Model {
        context_length: model.context_length,
        max_output_tokens: model.max_output,
        ..Model::new(&model.name, model.created)
    }
}

fn shown_to_anthropics(model: &z2api_stream_transform::Model) -> anthropic::Model<'_> {
    let created = i64::try_from(model.created).ok().and_then(|at| Timestamp::from_second(at).ok());
    anthropic::Model {
        kind: "model",
        id: &model.name,
        display_name: &model.name,
        created_at: created.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
        lifecycle: "active",
        max_input_tokens: model.context_length,
        max_tokens: model.max_output,
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
