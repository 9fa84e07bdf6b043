//! Reads a request's body and makes sense of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Request};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use z2api_wire::json;

use crate::error::ApiError;

/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Parsing more than this would hold up other requests of the same thread, in bytes.
const PARSE_ELSEWHERE: usize = 256 * 1024;

/// Reads the body, which may have at most `limit` bytes.
pub(crate) async fn read(request: Request<Incoming>, limit: usize) -> Result<Bytes, ApiError> {
    check_encoding(request.headers())?;
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::body_too_large(limit));
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Ok(Err(_)) => Err(ApiError::broken_body()),
        Err(_) => Err(ApiError::slow_body(BODY_TIMEOUT)),
    }
}

/// Reads the request's JSON.
pub(crate) async fn parse<T>(body: Bytes) -> Result<T, ApiError>
where
    T: DeserializeOwned + Send + 'static,
{
    if body.len() <= PARSE_ELSEWHERE {
        return parse_here(&body);
    }
    // Bounded by the slots of the queue and the body limit; ends by itself.
    let parsed = tokio::task::spawn_blocking(move || parse_here(&body)).await;
    parsed.unwrap_or_else(|_| Err(ApiError::internal()))
}

fn parse_here<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    json::read(body).map_err(ApiError::from)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(ApiError::encoded_body()),
        _ => Ok(()),
    }
}
