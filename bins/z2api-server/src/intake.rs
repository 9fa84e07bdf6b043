//! Reads a request's body and makes sense of it.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use z2api_wire::json;

use crate::error::ApiError;
use crate::live::Live;
use crate::memory::{Lease, Memory};

/// How long a body may take before it must come at the least rate.
const FREE: Duration = Duration::from_secs(5);
/// The rate, in bytes per second.
const LEAST_RATE: u64 = 1024;
/// Space for a body is made at once up to this, in bytes; beyond it as the body comes.
const AT_ONCE: u64 = 256 * 1024;
/// Parsing more than this would hold up other requests of the same thread, in bytes.
const PARSE_ELSEWHERE: usize = 256 * 1024;

/// Reads the body, which may be only so large and take only so long. There is room for it, and for
/// what is made of it, before it is read.
pub(crate) async fn read(
    request: Request<Incoming>,
    live: &Live,
    memory: &Memory,
) -> Result<(Bytes, Lease), ApiError> {
    let (limit, time) = (live.limits.body, live.peers.body);
    check_encoding(request.headers())?;
    check_type(request.headers())?;
    // What fails there is the stream, and nothing can be answered in it any more.
    let is_stream = request.version() >= Version::HTTP_2;
    let mut body = request.into_body();
    let expected = body.size_hint().lower();
    if expected > limit as u64 {
        return Err(ApiError::body_too_large(limit));
    }
    let mut lease = memory.lease(expected)?;
    // One growing buffer: a body of many small parts must not cost more than its bytes.
    let mut whole = BytesMut::with_capacity(expected.min(AT_ONCE) as usize);
    let begun = Instant::now();
    loop {
        let free = FREE + Duration::from_millis(whole.len() as u64 * 1000 / LEAST_RATE);
        match timeout_at(begun + time.min(free), body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                if data.len() > limit - whole.len() {
                    return Err(ApiError::body_too_large(limit));
                }
                lease.cover((whole.len() + data.len()) as u64)?;
                whole.extend_from_slice(&data);
            }
            Ok(Some(Err(error))) if is_stream || is_hang_up(&error) => {
                return Err(ApiError::hung_up());
            }
            Ok(Some(Err(_))) => return Err(ApiError::broken_body()),
            // A stream of HTTP/2 that its client cancels looks as if it were whole.
            Ok(None) if (whole.len() as u64) < expected => return Err(ApiError::hung_up()),
            Ok(None) => return Ok((whole.freeze(), lease)),
            Err(_) => return Err(ApiError::slow_body(time)),
        }
    }
}

/// Whether the body ends since its client is gone.
fn is_hang_up(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let is_end =
        |io: &io::Error| matches!(io.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
    error.is_incomplete_message() || io.is_some_and(is_end)
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

/// A body that says it is something else than text is refused. Plain text, a form (which is what
/// curl calls the JSON it is given) and no word at all pass: they come from clients that forgot
/// the header, and what they send is JSON or is found not to be.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or("?").to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let is_json = matches!(kind, "application/json" | "text/json") || kind.ends_with("+json");
    let forgot = matches!(kind, "" | "text/plain" | "application/x-www-form-urlencoded");
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let is_utf8 = |name: &str| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii");
    if (is_json || forgot) && charset.is_none_or(is_utf8) {
        Ok(())
    } else {
        Err(ApiError::not_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_passes_and_so_does_what_forgot_to_say_so() {
        let passes = |kind: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            check_type(&headers).is_ok()
        };
        assert!(check_type(&HeaderMap::new()).is_ok());
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/vnd.api+json",
            "text/plain;charset=utf-8",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(passes(kind), "{kind}");
        }
        for kind in [
            "multipart/form-data; boundary=x",
            "image/png",
            "application/xml",
            "application/json; charset=utf-16",
        ] {
            assert!(!passes(kind), "{kind}");
        }
    }
}
