//! Errors in Anthropic's shape.

use serde::Serialize;

/// The body of a failed answer, and the data of an `error` event.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// What went wrong.
    pub error: ErrorObject<'a>,
    /// Of which request.
    pub request_id: &'a str,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub struct ErrorObject<'a> {
    /// One of the words of [`kind_of`].
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For a person to read.
    pub message: &'a str,
    /// For a program to read, where a program acts on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What a program acts on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Details {
    /// The cause, in Anthropic's words.
    pub error_code: &'static str,
}

/// The cause by which Anthropic's packages learn that no conversation is kept. Their runners of tools
/// ask for that first, and send all of the conversation themselves from then on.
pub const NO_THREADS: &str = "thread_unsupported_request";

impl<'a> ErrorBody<'a> {
    /// The body for an answer of this status.
    pub fn new(status: u16, message: &'a str, request_id: &'a str) -> Self {
        let error = ErrorObject { kind: kind_of(status), message, details: None };
        Self { kind: "error", error, request_id }
    }

    /// The body with a cause.
    pub fn because(mut self, error_code: &'static str) -> Self {
        self.error.details = Some(Details { error_code });
        self
    }
}

/// The word that Anthropic's API has for a status.
pub fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
