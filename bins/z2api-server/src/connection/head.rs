//! The head of an answer in bytes.

use std::time::SystemTime;

use http::header::{DATE, HeaderValue};
use http::{HeaderMap, StatusCode};

/// With its date, and the empty line that ends it.
pub(crate) fn written(status: StatusCode, mut headers: HeaderMap) -> Vec<u8> {
    let now = httpdate::fmt_http_date(SystemTime::now());
    headers.entry(DATE).or_insert(HeaderValue::try_from(now).expect("a date is a header's value"));
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_ref());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
