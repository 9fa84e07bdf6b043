//! What hyper lets pass and the gateway does not.

use http::header::HOST;
use http::uri::Authority;
use http::{Method, Request, Version};

use crate::error::ApiError;

/// The longest target of a request, in bytes.
const MAX_TARGET: usize = 8 * 1024;

/// Refuses a request of a shape that nobody has a good use for. Its connection ends with it: what
/// stands before the gateway may have understood another request.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(ApiError::wrong_method("GET, HEAD, POST, OPTIONS"));
    }
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(ApiError::target_too_long(MAX_TARGET));
    }
    check_hosts(request)
}

fn check_hosts<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(ApiError::bad_host("More than one Host header was sent."));
    }
    match first {
        Some(host) if !is_host(host.as_bytes()) => {
            Err(ApiError::bad_host("The Host header is not a host."))
        }
        None if request.version() == Version::HTTP_11 => {
            Err(ApiError::bad_host("The Host header is missing."))
        }
        Some(_) | None => Ok(()),
    }
}

/// A host with or without a port, and nothing else (RFC 9110, 7.2). Empty where the client has no
/// name for us.
fn is_host(value: &[u8]) -> bool {
    value.is_empty()
        || Authority::try_from(value).is_ok_and(|authority| !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(version: Version, hosts: &[&str]) -> bool {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for host in hosts {
            request.headers_mut().append(HOST, host.parse().unwrap());
        }
        check(&request).is_ok()
    }

    #[test]
    fn a_request_has_one_host_and_an_old_one_may_have_none() {
        for host in ["a.example", "a.example:8080", "127.0.0.1:1", "[::1]:8080", ""] {
            assert!(check_with(Version::HTTP_11, &[host]), "{host:?}");
        }
        for host in ["a b", "a/b", "u@a", "a.example:x:y", "http://a"] {
            assert!(!check_with(Version::HTTP_11, &[host]), "{host:?}");
        }
        assert!(!check_with(Version::HTTP_11, &[]) && check_with(Version::HTTP_10, &[]));
        assert!(check_with(Version::HTTP_2, &[]));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!check_with(version, &["a", "a"]));
        }
    }
}
