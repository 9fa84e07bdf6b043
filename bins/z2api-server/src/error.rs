//! Everything that can go wrong, as a status and an OpenAI error object. Each error is mapped once.
//!
//! The client's text and the log's text are two texts: the client may read what the upstream said
//! about its own request, the log holds no such words.

use std::fmt::Display;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use z2api_admission::{Reason, Rejected};
use z2api_observability::{Failure, HUNG_UP, Lost, Owner};
use z2api_stream_transform::{RequestError, TransformError, Unsayable};
use z2api_upstream_client::{Error as UpstreamError, Wait};
use z2api_wire::json::Unreadable;
use z2api_wire::openai::error::{ErrorBody, ErrorObject};

use crate::body::{Response, json_bytes};
use crate::params;
use crate::shape::Shape;

/// When the upstream names no time to wait.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// An error as the client sees it.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    pub(crate) param: Option<Box<str>>,
    pub(crate) message: Box<str>,
    /// For the log, where it must differ from the message.
    log: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// Whether OpenAI's SDKs should try again by themselves. None: as they see fit.
    should_retry: Option<bool>,
    owner: Owner,
    /// A limit on how long an answer may take has run out.
    of_time: bool,
    /// The kind for the metrics; mostly the code.
    log_kind: &'static str,
}

impl ApiError {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            code: Some(code),
            param: None,
            message: message.into().into_boxed_str(),
            log: None,
            retry_after: None,
            should_retry: None,
            owner: if status.is_client_error() { Owner::Client } else { Owner::Gateway },
            of_time: false,
            log_kind: code,
        }
    }

    fn request(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", code, message)
    }

    fn busy(code: &'static str, message: &str, retry_after: Duration) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message);
        Self { retry_after: Some(retry_after), ..error }
    }

    pub(crate) fn invalid(param: Option<&str>, message: impl Into<String>) -> Self {
        let error = Self::request(StatusCode::BAD_REQUEST, "invalid_request", message);
        Self { code: None, param: param.map(Box::from), ..error }
    }

    pub(crate) fn unsupported(param: &str, why: &str) -> Self {
        RequestError::Unsupported { param: param.to_owned(), why: why.to_owned() }.into()
    }

    pub(crate) fn no_key(shape: Shape) -> Self {
        let message = format!("No API key was given. Send it as {}.", shape.key_header());
        Self::request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    pub(crate) fn wrong_key(shape: Shape) -> Self {
        let message = format!(
            "The API key is not valid. It must be one of this gateway's keys (DEFAULT_KEY), sent \
             as {}.",
            shape.key_header()
        );
        Self::request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    pub(crate) fn no_admin_key() -> Self {
        let message = "This page needs the key of ADMIN_KEY, as \"Authorization: Bearer KEY\".";
        Self::request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    pub(crate) fn other_origin() -> Self {
        let message = "Pages of other origins may not read this, unless CORS_ALLOW_ORIGINS lists them \
                       or they have the key of ADMIN_KEY.";
        Self::request(StatusCode::FORBIDDEN, "other_origin", message)
    }

    pub(crate) fn other_host() -> Self {
        let message = "A browser on the gateway's own machine may read this by an address or as \
                       localhost only, unless CORS_ALLOW_ORIGINS lists http:// and the name it \
                       asks by, or it has the key of ADMIN_KEY.";
        Self::request(StatusCode::FORBIDDEN, "other_origin", message)
    }

    pub(crate) fn expired_key() -> Self {
        let message = "The API key has expired.";
        Self::request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    fn over_share(log_kind: &'static str, message: impl Into<String>, wait: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = Self::new(status, "rate_limit_error", "rate_limit_exceeded", message);
        Self { retry_after: Some(wait), log_kind, ..error }
    }

    pub(crate) fn model_not_allowed() -> Self {
        let message = "This API key may not ask this model. GET /v1/models lists those it may.";
        // As OpenAI answers: for this key there is no such model.
        let error = Self::request(StatusCode::NOT_FOUND, "model_not_found", message);
        Self { param: Some("model".into()), log_kind: "model_not_allowed", ..error }
    }

    pub(crate) fn unknown_path(path: &str) -> Self {
        let hint = if path.ends_with("/completions") || path.ends_with("/models") {
            " The base URL of this gateway is http://HOST:PORT/v1."
        } else {
            ""
        };
        let message = format!("There is nothing at this path.{hint}");
        Self::request(StatusCode::NOT_FOUND, "unknown_url", message)
    }

    /// A path of OpenAI's API that is not served. `what` is its name there.
    pub(crate) fn not_offered(what: &str) -> Self {
        let message = format!(
            "This gateway does not offer `{what}`: it answers with text only. It serves \
             /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages and /v1/models."
        );
        Self::request(StatusCode::NOT_FOUND, "unknown_url", message)
    }

    pub(crate) fn wrong_method(allowed: &str) -> Self {
        let message = format!("This path does not take this method. Allowed: {allowed}.");
        Self::request(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn unknown_model(name: &str) -> Self {
        RequestError::UnknownModel(name.chars().take(100).collect()).into()
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message =
            format!("The request body is larger than {} MiB (MAX_BODY_MB).", limit / (1024 * 1024));
        Self::request(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(crate) fn target_too_long(limit: usize) -> Self {
        let message = format!("The path is longer than {limit} bytes.");
        Self::request(StatusCode::URI_TOO_LONG, "uri_too_long", message)
    }

    /// `reason` is hyper's, which never repeats what was sent.
    pub(crate) fn malformed(reason: &str) -> Self {
        let message = format!("The request is not valid HTTP: {reason}.");
        Self::request(StatusCode::BAD_REQUEST, "malformed_request", message)
    }

    pub(crate) fn head_too_large(limit: usize) -> Self {
        let message = format!(
            "The head of the request is larger than {} KiB, or has more than 100 lines.",
            limit / 1024
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::request(status, "head_too_large", message)
    }

    pub(crate) fn slow_head(limit: Duration) -> Self {
        let message = format!(
            "The head of the request did not arrive within {} s (CLIENT_HEAD_TIMEOUT).",
            limit.as_secs_f32()
        );
        Self::request(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    pub(crate) fn bad_host(message: &str) -> Self {
        Self::request(StatusCode::BAD_REQUEST, "invalid_host", message)
    }

    pub(crate) fn too_many_connections() -> Self {
        let message = "There are too many connections to the gateway, or from your address \
                       (MAX_CLIENT_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS).";
        Self::busy("too_many_connections", message, DEFAULT_WAIT)
    }

    pub(crate) fn encoded_body() -> Self {
        let message = "The request body must not be compressed (Content-Encoding).";
        Self::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    pub(crate) fn not_json() -> Self {
        let message = "The request body must be JSON (Content-Type: application/json).";
        Self::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    pub(crate) fn broken_body() -> Self {
        let message = "The request body broke off or is not valid HTTP.";
        Self::request(StatusCode::BAD_REQUEST, "incomplete_body", message)
    }

    /// Nobody is there to read it, but for one who closed its sending side only.
    pub(crate) fn hung_up() -> Self {
        let status = StatusCode::from_u16(HUNG_UP).expect("a status");
        let message = "The client hung up before its request was whole.";
        let kind = Lost::HungUp.kind();
        let log = Some(Lost::HungUp.text().into());
        Self { log, ..Self::request(status, kind, message) }
    }

    pub(crate) fn slow_body(limit: Duration) -> Self {
        let message = format!(
            "The request body did not arrive within {} s, or too slowly (CLIENT_BODY_TIMEOUT).",
            limit.as_secs_f32()
        );
        Self::request(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    pub(crate) fn out_of_memory() -> Self {
        let message = "The gateway is short of memory (MEMORY_LIMIT_MB). Try again later.";
        Self::busy("out_of_memory", message, DEFAULT_WAIT)
    }

    pub(crate) fn too_many_watchers() -> Self {
        let message = "Too many are watching this gateway already. Try again later.";
        Self::busy("too_many_watchers", message, DEFAULT_WAIT)
    }

    /// A body for which there is no room even when nothing else is there.
    pub(crate) fn body_beyond_memory(largest: u64) -> Self {
        let message = format!(
            "The request body is larger than {} KiB, for which there is memory (MEMORY_LIMIT_MB).",
            largest / 1024
        );
        Self::request(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(crate) fn conversation_beyond_memory(largest: u64) -> Self {
        let message = format!(
            "The conversation that the request goes on from is, with the request, larger than {} \
             KiB, for which there is memory (MEMORY_LIMIT_MB).",
            largest / 1024
        );
        let error = Self::request(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message);
        Self { param: Some("previous_response_id".into()), ..error }
    }

    pub(crate) fn shutting_down() -> Self {
        let message = "The gateway is shutting down.";
        Self::busy("server_shutting_down", message, DEFAULT_WAIT)
    }

    pub(crate) fn too_slow() -> Self {
        let message = "The answer was not complete in time (REQUEST_TIMEOUT). Ask for a stream.";
        let status = StatusCode::GATEWAY_TIMEOUT;
        let error = Self::new(status, "upstream_error", "request_timeout", message);
        // The same would be paid for again, and take as long.
        Self { should_retry: Some(false), owner: Owner::Upstream, ..error }
    }

    pub(crate) fn held_too_long() -> Self {
        let message = "The answer took longer than a request may take (MAX_CONNECTION_TIME).";
        let status = StatusCode::GATEWAY_TIMEOUT;
        let error = Self::new(status, "server_error", "max_connection_time", message);
        Self { should_retry: Some(false), owner: Owner::Upstream, of_time: true, ..error }
    }

    /// The same, of an answer that waits for its client.
    pub(crate) fn kept_too_long() -> Self {
        Self { owner: Owner::Client, ..Self::held_too_long() }
    }

    pub(crate) fn no_such_response() -> Self {
        let message = "There is no response with this id. Responses are kept in memory, for the \
                       key that asked, until newer ones need their room (RESPONSES_STORE_MB).";
        Self::request(StatusCode::NOT_FOUND, "response_not_found", message)
    }

    pub(crate) fn nothing_to_follow() -> Self {
        let error = Self::no_such_response();
        let code = Some("previous_response_not_found");
        let param = Some("previous_response_id".into());
        Self { status: StatusCode::BAD_REQUEST, code, param, ..error }
    }

    pub(crate) fn internal() -> Self {
        let message = "Something went wrong within the gateway.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", message)
    }

    /// A fault of ours, of which the panic hook has told where.
    pub(crate) fn panicked() -> Self {
        Self {
            log_kind: "panic",
            log: Some("a panic within the gateway".into()),
            ..Self::internal()
        }
    }

    /// What the log says: never what the upstream said about the request.
    pub(crate) fn log_text(&self) -> String {
        match (&self.log, self.code) {
            (Some(text), _) => text.to_string(),
            (None, Some(code)) => code.to_owned(),
            (None, None) => "invalid_request".to_owned(),
        }
    }

    /// The error as the record of its request keeps it.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            status: self.status.as_u16(),
            kind: self.log_kind,
            owner: self.owner,
            of_time: self.of_time,
            text: self.log_text(),
            param: self.param.as_deref().map(params::known),
        }
    }

    /// The error object.
    pub(crate) fn object(&self) -> ErrorObject<'_> {
        ErrorObject {
            message: &self.message,
            kind: self.kind,
            param: self.param.as_deref(),
            code: self.code,
        }
    }

    /// The error object, as JSON.
    pub(crate) fn body(&self) -> Vec<u8> {
        let body = ErrorBody { error: self.object() };
        serde_json::to_vec(&body).expect("an error object is JSON")
    }

    /// The error as a whole answer, with a body that tells it.
    pub(crate) fn response(&self, body: Vec<u8>) -> Response {
        let mut response = json_bytes(self.status, body);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(retry) = self.should_retry {
            let value = HeaderValue::from_static(if retry { "true" } else { "false" });
            headers.insert("x-should-retry", value);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        let wait = rejected.retry_after;
        match rejected.reason {
            Reason::QueueFull => {
                let message = "The gateway is full: all slots are taken and the queue is, too.";
                Self::busy("server_full", message, wait)
            }
            Reason::WaitTooLong => {
                let message = "The gateway is full: no slot can come free in time.";
                Self { log_kind: "wait_too_long", ..Self::busy("server_full", message, wait) }
            }
            Reason::QueueTimeout => {
                let message = "The gateway is full: no slot came free in time.";
                Self::busy("queue_timeout", message, wait)
            }
            Reason::OverFairShare => {
                let message = "The gateway is full, and this API key has more of its slots and \
                               queue than the others.";
                Self::over_share("over_fair_share", message, wait)
            }
            Reason::OverConcurrent { limit } => {
                let message = format!("This API key may make {limit} requests at once.");
                Self::over_share("over_key_concurrency", message, wait)
            }
            Reason::OverRate { limit } => {
                let message = format!("This API key may make {limit} requests a minute.");
                Self::over_share("over_key_rate", message, wait)
            }
            Reason::Draining => Self::shutting_down(),
        }
    }
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        Self::invalid(error.param.as_deref(), error.message)
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        match error {
            RequestError::UnknownModel(_) => {
                let error = Self::request(StatusCode::NOT_FOUND, "model_not_found", message);
                Self { param: Some("model".into()), ..error }
            }
            RequestError::Invalid { param, .. } => Self::invalid(Some(&param), message),
            RequestError::Unsupported { param, .. } => {
                let code = "unsupported_parameter";
                let error = Self::request(StatusCode::BAD_REQUEST, code, message);
                Self { param: Some(param.into()), ..error }
            }
            _ => Self::invalid(None, message),
        }
    }
}

/// An answer that the client's API has no words for.
impl From<&Unsayable> for ApiError {
    fn from(error: &Unsayable) -> Self {
        let message = format!("The upstream's answer cannot be passed on: {error}. Ask again.");
        let code = match error {
            Unsayable::BadArguments { .. } => "upstream_bad_arguments",
            Unsayable::MixedCalls => "upstream_mixed_calls",
            _ => "upstream_error",
        };
        let error = Self::new(StatusCode::BAD_GATEWAY, "upstream_error", code, message);
        Self { log: Some(code.into()), owner: Owner::Upstream, should_retry: Some(false), ..error }
    }
}

impl From<&TransformError> for ApiError {
    fn from(error: &TransformError) -> Self {
        if let TransformError::Unsayable(error) = error {
            return Self::from(error);
        }
        // A fault has become an error of the client crate before it gets here.
        let code = match error {
            TransformError::Upstream(_) => "upstream_error",
            TransformError::TooLarge => "upstream_too_large",
            _ => "upstream_error",
        };
        let message = "The upstream's answer cannot be passed on.";
        let error = Self::new(StatusCode::BAD_GATEWAY, "upstream_error", code, message);
        Self { should_retry: Some(false), owner: Owner::Upstream, ..error }
    }
}

impl From<&UpstreamError> for ApiError {
    fn from(error: &UpstreamError) -> Self {
        use UpstreamError as E;
        let said = error.fault().map(|fault| fault.message.as_str()).unwrap_or_default();
        let text = sentence(error, said);
        let code = error.kind();
        let gateway = |status| Self::new(status, "upstream_error", code, text.clone());
        let caller = |code| Self::request(StatusCode::BAD_REQUEST, code, text.clone());
        let mut mapped = match error {
            E::RateLimited { .. } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "rate_limit_error", "rate_limit_exceeded", text.clone())
            }
            E::QuotaExhausted { .. } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "insufficient_quota", "insufficient_quota", text.clone())
            }
            E::ModelNotFound { .. } => {
                let error = Self::request(StatusCode::NOT_FOUND, "model_not_found", text.clone());
                Self { param: Some("model".into()), ..error }
            }
            E::BadRequest { .. } => caller("upstream_bad_request"),
            E::ContextLength { .. } => {
                // By these words agents know that they have to shorten the conversation.
                let error = caller("context_length_exceeded");
                Self { message: format!("prompt is too long: {text}").into(), ..error }
            }
            E::ContentFilter { .. } => caller("content_filter"),
            E::Timeout { .. } => gateway(StatusCode::GATEWAY_TIMEOUT),
            E::Unavailable { .. } => gateway(StatusCode::SERVICE_UNAVAILABLE),
            E::Unauthorized { .. } => {
                let mut mapped = gateway(StatusCode::BAD_GATEWAY);
                let advice =
                    "Your key for this gateway is fine; whoever runs it has to set UPSTREAM_TOKEN.";
                mapped.message = format!("{} {advice}", mapped.message).into();
                mapped
            }
            _ => gateway(StatusCode::BAD_GATEWAY),
        };
        mapped.log_kind = code;
        mapped.owner = match error.owner() {
            z2api_upstream_client::Owner::Caller => Owner::Client,
            z2api_upstream_client::Owner::Gateway => Owner::Gateway,
            z2api_upstream_client::Owner::Upstream => Owner::Upstream,
        };
        mapped.of_time = matches!(error, E::Timeout { which: Wait::End, .. });
        mapped.log = Some(format!("{code}: {error}").into());
        if mapped.status == StatusCode::TOO_MANY_REQUESTS {
            mapped.retry_after = Some(error.retry_after().unwrap_or(DEFAULT_WAIT));
        } else {
            mapped.retry_after = error.retry_after();
        }
        if !error.is_retryable() {
            mapped.should_retry = Some(false);
        }
        mapped
    }
}

/// Our words with a capital letter, and the upstream's own after them.
fn sentence(error: &impl Display, said: &str) -> String {
    let ours = error.to_string();
    let mut chars = ours.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let rest = chars.as_str();
    if said.is_empty() {
        format!("{first}{rest}.")
    } else {
        format!("{first}{rest}. It says: {said}")
    }
}
