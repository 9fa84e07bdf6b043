//! Tells Anthropic's clients what is left of their key's own rate.

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use z2api_admission::Rate;

/// What Anthropic's clients are told of a caller's own rate, if it has one. Where it has none,
/// nothing is made up.
pub(crate) fn tell_rate(rate: Rate, headers: &mut HeaderMap) {
    let whole_at = Timestamp::from_second((Timestamp::now() + rate.whole_after).as_second() + 1);
    headers.insert("anthropic-ratelimit-requests-limit", rate.limit.into());
    headers.insert("anthropic-ratelimit-requests-remaining", rate.left.into());
    if let Ok(Ok(at)) = whole_at.map(|at| HeaderValue::from_str(&at.to_string())) {
        headers.insert("anthropic-ratelimit-requests-reset", at);
    }
}
