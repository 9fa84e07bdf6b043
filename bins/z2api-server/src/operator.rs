//! Who may see what is the operator's: whoever has the admin key; and where there is none, anyone but
//! the pages that a browser has open from elsewhere.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, HOST, HeaderName, HeaderValue, ORIGIN, USER_AGENT};
use http::uri::Authority;

use crate::auth::shows;
use crate::error::ApiError;
use crate::live::Live;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses who may not see it. `peer` is whose connection it is.
pub(crate) fn check_operator(
    live: &Live,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    match &live.admin_key {
        Some(expected) if shows(headers, expected) => Ok(()),
        Some(_) => Err(ApiError::no_admin_key()),
        None if is_from_elsewhere(headers) && !is_listed(live, headers) => {
            Err(ApiError::other_origin())
        }
        None if is_rebound(headers) && is_here(live, peer) && !is_named(live, headers) => {
            Err(ApiError::other_host())
        }
        None => Ok(()),
    }
}

/// Whether a page of another origin asks. A browser says so: by `Origin`, which it leaves out where a
/// page reads from its own, or by `Sec-Fetch-Site`. Following a link is no reading.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let told = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let origin = told(ORIGIN);
    let own = origin.strip_prefix(b"https://").or(origin.strip_prefix(b"http://"));
    let other_origin = !origin.is_empty() && own != Some(told(HOST));
    let other_site = matches!(told(SITE), b"cross-site" | b"same-site");
    other_origin || (other_site && told(MODE) != b"navigate")
}

/// Whether a page may ask that has pointed its own name at this machine (DNS rebinding): its requests
/// are not from elsewhere then. All that tells them is their `Host`. Whoever has the page by TLS is
/// none of those, and its browser says so.
fn is_rebound(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_browser = headers.contains_key(ACCEPT_LANGUAGE) || agent.starts_with(b"Mozilla/");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    is_browser && !headers.contains_key(SITE) && is_public_name(host)
}

/// Whether anybody can have this name: no address, and no name that only a network knows.
fn is_public_name(host: &str) -> bool {
    const PRIVATE: [&str; 6] = ["localhost", "local", "internal", "lan", "svc", "test"];
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_end_matches('.');
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    let last = name.rsplit_once('.').map(|(_, last)| last);
    let is_private = |last: &str| PRIVATE.iter().any(|known| last.eq_ignore_ascii_case(known));
    !is_address && last.is_some_and(|last| !is_private(last))
}

/// Whether the peer is on this machine, and no proxy for others.
fn is_here(live: &Live, peer: IpAddr) -> bool {
    peer.is_loopback() && !live.trusts(&peer)
}

/// `CORS_ALLOW_ORIGINS` names the host that is asked for.
fn is_named(live: &Live, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let origin = HeaderValue::from_bytes(&[b"http://", host].concat());
    origin.is_ok_and(|origin| live.cors.lists(&origin))
}

/// `CORS_ALLOW_ORIGINS` names it. That all may call is no naming.
fn is_listed(live: &Live, headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| live.cors.lists(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_anybody_can_have_is_public() {
        for host in ["evil.example", "evil.example:8080", "EVIL.example.", "1.2.3.4.evil.example"] {
            assert!(is_public_name(host), "{host}");
        }
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost:8080",
            "z2api:8080",
            "my.LocalHost",
            "printer.local",
            "z2api.default.svc.cluster.local:80",
            "host.docker.internal",
            "",
        ] {
            assert!(!is_public_name(host), "{host}");
        }
    }

    #[test]
    fn a_browser_tells_whose_page_asks() {
        for (headers, elsewhere) in [
            (&[][..], false),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "http://127.0.0.1:8080")], false),
            (&[("origin", "http://127.0.0.1:8081")], true),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")], false),
            (&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")], false),
            (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], true),
            (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], false),
        ] {
            let all = headers.iter().chain(&[("host", "127.0.0.1:8080")]);
            let all: HeaderMap = all
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(is_from_elsewhere(&all), elsewhere, "{headers:?}");
        }
    }
}
