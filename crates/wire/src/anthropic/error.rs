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
}

impl<'a> ErrorBody<'a> {
    /// The body for an answer of this status.
    pub fn new(status: u16, message: &'a str, request_id: &'a str) -> Self {
        Self { kind: "error", error: ErrorObject { kind: kind_of(status), message }, request_id }
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
