//! What an error means for the token it was got with.

use crate::codes;
use crate::error::{Error, Verdict};

/// What is done to the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: the failure is not about the token.
    Keep,
    /// Fewer requests at once to this model; if there was only one, it cools.
    Slow,
    /// It rests for what the upstream asks, or else for the next step of the retry policy.
    Cool,
    /// It rests until the stated time, or else for [`PARK`](crate::pool::PARK).
    Park,
    /// It is used no more.
    Kill,
}

/// The code decides, where there is one that is known; otherwise the kind of error.
pub(crate) fn of(error: &Error) -> Effect {
    let code = error.fault().and_then(|fault| fault.code.as_deref());
    match (error, code.and_then(codes::row_of)) {
        // A fetch of a guest's token is not about a token.
        (Error::Guest(_) | Error::Unavailable { .. }, _) => Effect::Keep,
        (_, Some(row)) => row.effect,
        (Error::RateLimited { .. }, None) => Effect::Slow,
        (Error::QuotaExhausted { .. }, None) => Effect::Park,
        (Error::Unauthorized { .. }, None) => Effect::Kill,
        (
            Error::Rejected { verdict: Verdict::Transient | Verdict::Final, .. }
            | Error::Connect { .. }
            | Error::Certificate { .. }
            | Error::Disconnected { .. }
            | Error::Timeout { .. }
            | Error::ModelNotFound { .. }
            | Error::BadRequest { .. }
            | Error::ContextLength { .. }
            | Error::ContentFilter { .. }
            | Error::Blocked { .. }
            | Error::Empty
            | Error::Truncated
            | Error::Malformed(_)
            | Error::NotAStream { .. }
            | Error::Redirected { .. },
            None,
        ) => Effect::Keep,
    }
}

#[cfg(test)]
mod tests {
    use z2api_wire::event::Dialect;

    use super::*;
    use crate::classify::Refusal;

    fn check(dialect: Dialect, status: u16, body: &str, effect: Effect) {
        let error = Refusal::from_body(dialect, status, body.as_bytes(), None, None).into_error();
        assert_eq!(of(&error), effect, "{status} {body}");
    }

    #[test]
    fn the_code_decides_whatever_the_status() {
        for status in [200, 400, 401, 429, 500] {
            let body = |code| format!(r#"{{"error":{{"code":{code},"message":"m"}}}}"#);
            check(Dialect::OpenAi, status, &body(1302), Effect::Slow);
            check(Dialect::OpenAi, status, &body(1303), Effect::Cool);
            check(Dialect::OpenAi, status, &body(1308), Effect::Park);
            check(Dialect::OpenAi, status, &body(1002), Effect::Kill);
            check(Dialect::OpenAi, status, &body(1234), Effect::Keep);
        }
    }

    #[test]
    fn without_a_code_the_kind_decides() {
        for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
            check(dialect, 429, "", Effect::Slow);
            check(dialect, 401, "", Effect::Kill);
            check(dialect, 402, "", Effect::Park);
            check(dialect, 403, "", Effect::Keep);
            check(dialect, 500, "", Effect::Keep);
        }
        check(Dialect::ZaiWeb, 400, r#"{"detail":"Concurrency exceeded"}"#, Effect::Slow);
    }
}
