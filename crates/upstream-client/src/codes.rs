//! The upstream's error codes and what they mean.
//!
//! The numbers are those of the official API (docs.z.ai and docs.bigmodel.cn, "error codes"); the
//! words are those of the web chat's error events, and the ones OpenAI-compatible servers share.

/// What a code means, as far as a client treats it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An inner fault that may pass.
    Transient,
    /// A refusal that stays.
    Refused,
    /// Our token is not accepted.
    Unauthorized,
    /// Too many at once or in a time.
    RateLimited,
    /// Nothing left on the account.
    Quota,
    /// The request is wrong.
    BadRequest,
    /// No such model.
    ModelNotFound,
    /// Too long a conversation.
    ContextLength,
    /// A content filter.
    ContentFilter,
    /// A captcha is demanded.
    Captcha,
}

/// The class of a code; None for a code that is not in the table.
pub(crate) fn class_of(code: &str) -> Option<Class> {
    CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, class)| *class)
}

#[rustfmt::skip]
const CODES: &[(&str, Class)] = &[
    // Internal errors and network errors of the upstream.
    ("500", Class::Transient),
    ("1200", Class::Transient),
    ("1230", Class::Transient),
    ("1234", Class::Transient),
    // The token: missing, malformed, expired, wrong.
    ("1000", Class::Unauthorized),
    ("1001", Class::Unauthorized),
    ("1002", Class::Unauthorized),
    ("1003", Class::Unauthorized),
    ("1004", Class::Unauthorized),
    ("1100", Class::Unauthorized),
    // The account: inactive, missing, locked, in violation. 1120 says "try later".
    ("1110", Class::Refused),
    ("1111", Class::Refused),
    ("1112", Class::Refused),
    ("1120", Class::Transient),
    ("1121", Class::Refused),
    // In arrears, or a plan that does not cover this base URL.
    ("1113", Class::Quota),
    // Parameters.
    ("1210", Class::BadRequest),
    ("1213", Class::BadRequest),
    ("1214", Class::BadRequest),
    ("1215", Class::BadRequest),
    ("1211", Class::ModelNotFound),
    ("1222", Class::ModelNotFound),
    // Method not supported, no permission, taken offline.
    ("1212", Class::Refused),
    ("1220", Class::Refused),
    ("1221", Class::Refused),
    // The id of the request was used before; the next attempt has its own.
    ("1231", Class::Transient),
    ("1261", Class::ContextLength),
    ("1300", Class::ContentFilter),
    ("1301", Class::ContentFilter),
    // Concurrency, rate, traffic, busy model.
    ("1302", Class::RateLimited),
    ("1303", Class::RateLimited),
    ("1305", Class::RateLimited),
    ("1312", Class::RateLimited),
    // Caps by day, window and week.
    ("1304", Class::Quota),
    ("1308", Class::Quota),
    ("1310", Class::Quota),
    // Plan expired, model not in the plan, fair use.
    ("1309", Class::Refused),
    ("1311", Class::Refused),
    ("1313", Class::Refused),
    // The web chat's words.
    ("FRONTEND_CAPTCHA_REQUIRED", Class::Captcha),
    ("MODEL_CONCURRENCY_LIMIT", Class::RateLimited),
    ("INTERNAL_ERROR", Class::Transient),
    // The finish reason by which an answer says that it broke off.
    ("network_error", Class::Transient),
    // Words of OpenAI-compatible servers.
    ("invalid_api_key", Class::Unauthorized),
    ("insufficient_quota", Class::Quota),
    ("rate_limit_exceeded", Class::RateLimited),
    ("model_not_found", Class::ModelNotFound),
    ("context_length_exceeded", Class::ContextLength),
    ("content_filter", Class::ContentFilter),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for (position, (code, _)) in CODES.iter().enumerate() {
            let first = CODES.iter().position(|(other, _)| other.eq_ignore_ascii_case(code));
            assert_eq!(first, Some(position), "{code}");
        }
    }

    #[test]
    fn an_unknown_code_has_no_class() {
        for code in ["", "1", "9999", "13020"] {
            assert_eq!(class_of(code), None, "{code}");
        }
    }
}
