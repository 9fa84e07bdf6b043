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
    if body.trim_ascii().is_empty() {
        return Err(ApiError::invalid(None, "The request has no body; it must be a JSON object."));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let request = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        describe(Some(path).filter(|path| path != "."), error.inner())
    })?;
    json.end().map_err(|error| describe(None, &error))?;
    Ok(request)
}

/// Tells what is wrong without repeating what was sent: only what serde expected, and where.
fn describe(path: Option<String>, error: &serde_json::Error) -> ApiError {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let field = |prefix: &str| {
        let name = text.strip_prefix(prefix)?.strip_prefix(" `")?.split('`').next()?;
        Some(match &path {
            Some(path) if !path.ends_with(name) => format!("{path}.{name}"),
            Some(path) => path.clone(),
            None => name.to_owned(),
        })
    };
    if !error.is_data() {
        let what = if error.is_eof() { "ends too early" } else { "is not valid JSON" };
        return ApiError::invalid(None, format!("The request body {what} ({place})."));
    }
    if let Some(name) = field("missing field") {
        return ApiError::invalid(Some(&name), format!("`{name}` is missing ({place})."));
    }
    if let Some(name) = field("duplicate field") {
        return ApiError::invalid(Some(&name), format!("`{name}` is given twice ({place})."));
    }
    let expected = text.split_once("expected ").map(|(_, expected)| expected);
    let message = match (&path, expected) {
        (Some(path), Some(expected)) => format!("`{path}` must be {expected} ({place})."),
        (Some(path), None) => format!("`{path}` is not of the right form ({place})."),
        (None, _) => format!("The request body must be a JSON object ({place})."),
    };
    ApiError::invalid(path.as_deref(), message)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(ApiError::encoded_body()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use z2api_wire::openai::request::ChatRequest;

    use super::*;

    fn check(body: &str, param: Option<&str>, says: &str) {
        let error = parse_here::<ChatRequest>(body.as_bytes()).expect_err("a refusal");
        assert_eq!(error.param.as_deref(), param, "{}", error.message);
        assert!(error.message.contains(says), "{}", error.message);
        assert!(!error.message.contains("secret"), "{}", error.message);
    }

    #[test]
    fn a_refusal_names_the_field_and_never_repeats_what_was_sent() {
        check("", None, "no body");
        check("{\"model\":", None, "ends too early");
        check("{model:1}", None, "not valid JSON");
        check("[\"secret\"]", None, "must be");
        check("{\"messages\":[]}", Some("model"), "`model` is missing");
        check(r#"{"model":"a","model":"secret"}"#, Some("model"), "given twice");
        check(
            r#"{"model":"a","messages":[],"temperature":"secret"}"#,
            Some("temperature"),
            "`temperature` must be f64",
        );
        check(
            r#"{"model":"a","messages":[{"role":"secret","content":"x"}]}"#,
            Some("messages[0].role"),
            "must be one of `system`",
        );
        check(
            r#"{"model":"a","messages":[{"role":"user","content":5}]}"#,
            Some("messages[0].content"),
            "`messages[0].content`",
        );
        check(r#"{"model":"a","messages":[]} secret"#, None, "not valid JSON");
    }
}
