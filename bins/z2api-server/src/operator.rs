//! Who may see what is the operator's: whoever has the admin key; and where there is none, anyone but
//! the pages that a browser has open from elsewhere.

use http::HeaderMap;
use http::header::{HOST, HeaderName, HeaderValue, ORIGIN};

use crate::auth::shows;
use crate::error::ApiError;
use crate::live::Live;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses who may not see it.
pub(crate) fn check_operator(live: &Live, headers: &HeaderMap) -> Result<(), ApiError> {
    match &live.admin_key {
        Some(expected) if shows(headers, expected) => Ok(()),
        Some(_) => Err(ApiError::no_admin_key()),
        None if is_from_elsewhere(headers) && !is_listed(live, headers) => {
            Err(ApiError::other_origin())
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

/// `CORS_ALLOW_ORIGINS` names it. That all may call is no naming.
fn is_listed(live: &Live, headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| live.cors.lists(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

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
