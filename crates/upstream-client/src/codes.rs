//! The upstream's error codes and what they mean.
//!
//! The numbers are those of the official API (docs.z.ai and docs.bigmodel.cn, "error codes"); the
//! words are those of the web chat's error events, and the ones OpenAI-compatible servers share.

use crate::effect::Effect;

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

/// What is known about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) class: Class,
    pub(crate) effect: Effect,
}

/// The row of a code; None for a code that is not in the table.
pub(crate) fn row_of(code: &str) -> Option<Row> {
    let (_, class, effect) = CODES.iter().find(|row| row.0.eq_ignore_ascii_case(code))?;
    Some(Row { class: *class, effect: *effect })
}

#[rustfmt::skip]
const CODES: &[(&str, Class, Effect)] = &[
    // Internal errors and network errors of the upstream.
    ("500", Class::Transient, Effect::Keep),
    ("1200", Class::Transient, Effect::Keep),
    ("1230", Class::Transient, Effect::Keep),
    ("1234", Class::Transient, Effect::Keep),
    // The token: missing, malformed, expired, wrong.
    ("1000", Class::Unauthorized, Effect::Kill),
    ("1001", Class::Unauthorized, Effect::Kill),
    ("1002", Class::Unauthorized, Effect::Kill),
    ("1003", Class::Unauthorized, Effect::Kill),
    ("1004", Class::Unauthorized, Effect::Kill),
    ("1100", Class::Unauthorized, Effect::Kill),
    // The account: inactive, missing, locked, in violation. 1120 says "try later".
    ("1110", Class::Refused, Effect::Kill),
    ("1111", Class::Refused, Effect::Kill),
    ("1112", Class::Refused, Effect::Kill),
    ("1120", Class::Transient, Effect::Cool),
    ("1121", Class::Refused, Effect::Kill),
    // In arrears, or a plan that does not cover this base URL.
    ("1113", Class::Quota, Effect::Park),
    // Parameters.
    ("1210", Class::BadRequest, Effect::Keep),
    ("1213", Class::BadRequest, Effect::Keep),
    ("1214", Class::BadRequest, Effect::Keep),
    ("1215", Class::BadRequest, Effect::Keep),
    ("1211", Class::ModelNotFound, Effect::Keep),
    ("1222", Class::ModelNotFound, Effect::Keep),
    // Method not supported, no permission, taken offline.
    ("1212", Class::Refused, Effect::Keep),
    ("1220", Class::Refused, Effect::Keep),
    ("1221", Class::Refused, Effect::Keep),
    // The id of the request was used before; the next attempt has its own.
    ("1231", Class::Transient, Effect::Keep),
    ("1261", Class::ContextLength, Effect::Keep),
    ("1300", Class::ContentFilter, Effect::Keep),
    ("1301", Class::ContentFilter, Effect::Keep),
    // Concurrency, rate. The last two are a model that is busy for everybody.
    ("1302", Class::RateLimited, Effect::Slow),
    ("1303", Class::RateLimited, Effect::Cool),
    ("1305", Class::RateLimited, Effect::Keep),
    ("1312", Class::RateLimited, Effect::Keep),
    // Caps by day, window and week.
    ("1304", Class::Quota, Effect::Park),
    ("1308", Class::Quota, Effect::Park),
    ("1310", Class::Quota, Effect::Park),
    // Plan expired, model not in the plan, fair use. A plan may be renewed.
    ("1309", Class::Refused, Effect::Park),
    ("1311", Class::Refused, Effect::Keep),
    ("1313", Class::Refused, Effect::Park),
    // The web chat's words.
    ("FRONTEND_CAPTCHA_REQUIRED", Class::Captcha, Effect::Keep),
    ("MODEL_CONCURRENCY_LIMIT", Class::RateLimited, Effect::Slow),
    ("INTERNAL_ERROR", Class::Transient, Effect::Keep),
    // The finish reason by which an answer says that it broke off.
    ("network_error", Class::Transient, Effect::Keep),
    // Words of OpenAI-compatible servers.
    ("invalid_api_key", Class::Unauthorized, Effect::Kill),
    ("insufficient_quota", Class::Quota, Effect::Park),
    ("rate_limit_exceeded", Class::RateLimited, Effect::Slow),
    ("model_not_found", Class::ModelNotFound, Effect::Keep),
    ("context_length_exceeded", Class::ContextLength, Effect::Keep),
    ("content_filter", Class::ContentFilter, Effect::Keep),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for (position, (code, ..)) in CODES.iter().enumerate() {
            let first = CODES.iter().position(|(other, ..)| other.eq_ignore_ascii_case(code));
            assert_eq!(first, Some(position), "{code}");
        }
    }

    /// Each of these codes has this class and does this to the token; gives how many there are.
    fn check(codes: &str, class: Class, effect: Effect) -> usize {
        for code in codes.split(' ') {
            assert_eq!(row_of(code), Some(Row { class, effect }), "{code}");
            assert_eq!(row_of(&code.to_lowercase()), row_of(&code.to_uppercase()), "{code}");
        }
        codes.split(' ').count()
    }

    #[test]
    fn every_row_says_what_it_means_and_what_it_does_to_the_token() {
        let words = "INTERNAL_ERROR network_error 500 1200 1230 1234 1231";
        let checked = check(words, Class::Transient, Effect::Keep)
            + check("1120", Class::Transient, Effect::Cool)
            + check(
                "1000 1001 1002 1003 1004 1100 invalid_api_key",
                Class::Unauthorized,
                Effect::Kill,
            )
            + check("1110 1111 1112 1121", Class::Refused, Effect::Kill)
            + check("1212 1220 1221 1311", Class::Refused, Effect::Keep)
            + check("1309 1313", Class::Refused, Effect::Park)
            + check("1113 1304 1308 1310 insufficient_quota", Class::Quota, Effect::Park)
            + check("1210 1213 1214 1215", Class::BadRequest, Effect::Keep)
            + check("1211 1222 model_not_found", Class::ModelNotFound, Effect::Keep)
            + check("1261 context_length_exceeded", Class::ContextLength, Effect::Keep)
            + check("1300 1301 content_filter", Class::ContentFilter, Effect::Keep)
            + check(
                "1302 MODEL_CONCURRENCY_LIMIT rate_limit_exceeded",
                Class::RateLimited,
                Effect::Slow,
            )
            + check("1303", Class::RateLimited, Effect::Cool)
            + check("1305 1312", Class::RateLimited, Effect::Keep)
            + check("FRONTEND_CAPTCHA_REQUIRED", Class::Captcha, Effect::Keep);
        assert_eq!(checked, CODES.len(), "no row is left out");
    }

    #[test]
    fn an_unknown_code_has_no_class() {
        for code in ["", "1", "9999", "13020"] {
            assert_eq!(row_of(code), None, "{code}");
        }
    }
}
