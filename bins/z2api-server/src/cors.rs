//! What browsers need to be told.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Which pages may call the gateway. Never with credentials.
#[derive(Debug)]
pub(crate) struct Cors {
    /// Empty: any.
    origins: Vec<String>,
}

/// Headers that SDKs send. A browser takes `*` for the rest only without credentials.
const ALLOWED: &str = "authorization, content-type, x-api-key, x-request-id, x-z2api-think-mode, \
     anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access, \
     x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, \
     x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, \
     x-stainless-poll-helper, x-stainless-retry-count, x-stainless-runtime, \
     x-stainless-runtime-version, x-stainless-timeout, openai-organization, openai-project";

/// Headers of answers that pages may read.
const EXPOSED: &str = "x-request-id, request-id, x-z2api-ignored, x-z2api-estimate, retry-after";
/// Where the answer has those of a rate.
const EXPOSED_WITH_RATE: &str = "x-request-id, request-id, x-z2api-ignored, x-z2api-estimate, \
     retry-after, anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, \
     anthropic-ratelimit-requests-reset";

impl Cors {
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// Whether this origin is named. None is where any may call.
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|listed| origin == listed)
    }

    /// For every answer.
    pub(crate) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let allow = if self.origins.is_empty() {
            Some(HeaderValue::from_static("*"))
        } else {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            origin.filter(|asked| self.lists(asked)).cloned()
        };
        if let Some(allow) = allow {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow);
            let rate = headers.contains_key("anthropic-ratelimit-requests-limit");
            let exposed = HeaderValue::from_static(if rate { EXPOSED_WITH_RATE } else { EXPOSED });
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// For a preflight: the methods, the known headers and those that are asked for.
    pub(crate) fn preflight(methods: &'static str, asked: &HeaderMap, headers: &mut HeaderMap) {
        let methods = HeaderValue::from_static(methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let mut allowed = ALLOWED.to_owned();
        let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        for name in wanted.and_then(|names| names.to_str().ok()).unwrap_or_default().split(',') {
            let name = name.trim().to_ascii_lowercase();
            let known = ALLOWED.split(", ").any(|known| known == name);
            if !known && name.len() <= 64 && HeaderName::from_bytes(name.as_bytes()).is_ok() {
                allowed.push_str(", ");
                allowed.push_str(&name);
            }
        }
        if let Ok(allowed) = HeaderValue::from_str(&allowed) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
}
