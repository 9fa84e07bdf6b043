//! Why there is no answer, or no more of it: by whose fault, and whether to try again.

mod judge;
mod parts;

use std::fmt;
use std::time::Duration;

use z2api_wire::Malformed;
use z2api_wire::fault::Fault;

pub use self::parts::{Blocker, Found, Owner, Verdict, Wait};

/// Why there is no answer, or no more of it.
///
/// Its `Display` is safe to log: it never holds a token, a URL, HTML, or the upstream's own words,
/// which may quote the caller. Those words are in [`Error::fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about: name lookup, refusal, TLS, or the connect timeout.
    #[error("cannot connect to the upstream: {reason}")]
    Connect {
        /// The system's words.
        reason: String,
    },
    /// The upstream showed a certificate that is not to be trusted.
    #[error("the upstream's certificate is not to be trusted: {reason}")]
    Certificate {
        /// The TLS library's words.
        reason: String,
    },
    /// The connection broke, before the answer or within it.
    #[error("the connection to the upstream broke: {reason}")]
    Disconnected {
        /// The system's words.
        reason: String,
    },
    /// The upstream failed so often in a row that it is left alone for a while. It was not asked.
    #[error("the upstream is not asked for now, after many failures; the last was: {last}")]
    Unavailable {
        /// How long to wait before it is asked again.
        retry_after: Duration,
        /// The last failure.
        #[source]
        last: Box<Error>,
    },
    /// A clock of [`Timeouts`](crate::Timeouts) ran out.
    #[error("{which} within {limit:?}")]
    Timeout {
        /// What was waited for.
        which: Wait,
        /// How long.
        limit: Duration,
    },
    /// The upstream failed or refused for a reason that has no variant of its own.
    #[error("the upstream failed{}", Detail(*.status, .fault))]
    Rejected {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// Whether it may pass.
        verdict: Verdict,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// Too many requests at once or in a time.
    #[error("the upstream's rate limit is reached{}", Detail(*.status, .fault))]
    RateLimited {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The account has used up what it may use, or is in arrears. Waiting seconds does not help.
    #[error("the upstream account's quota is exhausted{}", Detail(*.status, .fault))]
    QuotaExhausted {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The upstream does not accept our token.
    #[error("the upstream does not accept the token{}", Detail(*.status, .fault))]
    Unauthorized {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The upstream has no such model.
    #[error("the upstream has no such model{}", Detail(*.status, .fault))]
    ModelNotFound {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The request itself is wrong.
    #[error("the upstream finds the request wrong{}", Detail(*.status, .fault))]
    BadRequest {
        /// The HTTP status; None if it was refused inside a 200, or before it was sent.
        status: Option<u16>,
        /// What is wrong with it.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The conversation is longer than the model can read.
    #[error("the conversation is too long for the model{}", Detail(*.status, .fault))]
    ContextLength {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// A filter of the upstream refused the request.
    #[error("the upstream's content filter refused the request{}", Detail(*.status, .fault))]
    ContentFilter {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// The body of its answer as text, bounded, without HTML and without our token. Empty if the
        /// error came inside an answer of status 200, or the request was not sent.
        body: Box<str>,
    },
    /// The upstream keeps unattended clients out. It is not worked around.
    #[error("{by}; the official API (api.z.ai/api/paas/v4, with an API key) is open to programs")]
    Blocked {
        /// By what.
        by: Blocker,
        /// The HTTP status; None if it said so inside an answer of status 200.
        status: Option<u16>,
    },
    /// Status 200, and nothing in it.
    #[error("the upstream's answer is empty")]
    Empty,
    /// The answer stopped without its end mark.
    #[error("the upstream's answer stopped before its end")]
    Truncated,
    /// An event cannot be read.
    #[error("the upstream's answer cannot be read: {0}")]
    Malformed(#[source] Malformed),
    /// Status 200, and something else than a stream of events.
    #[error("the upstream answered with {found} instead of a stream of events")]
    NotAStream {
        /// What came.
        found: Found,
    },
    /// The upstream points elsewhere. It is not followed: the token would go along.
    #[error("the upstream redirects (status {status}); its URL has to be set to the new place")]
    Redirected {
        /// The HTTP status.
        status: u16,
    },
    /// No guest token is to be had (`zai-web` only).
    #[error("no guest token from the upstream: {0}")]
    Guest(#[source] Box<Error>),
}

/// Status and code of a failure, in brackets. A code is only shown if it looks like one.
struct Detail<'a>(Option<u16>, &'a Fault);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = |code: &&str| {
            code.len() <= 40
                && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        match (self.0, self.1.code.as_deref().filter(is_word)) {
            (Some(status), Some(code)) => write!(f, " (status {status}, code {code})"),
            (Some(status), None) => write!(f, " (status {status})"),
            (None, Some(code)) => write!(f, " (code {code})"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_display_holds_status_and_code_and_not_the_upstreams_words() {
        let fault = Fault { code: Some("1234".into()), message: "you wrote: secret".into() };
        let error = Error::Rejected {
            status: Some(500),
            fault,
            verdict: Verdict::Transient,
            retry_after: None,
            body: Box::default(),
        };
        assert_eq!(error.to_string(), "the upstream failed (status 500, code 1234)");
        let fault = Fault { code: Some("a code with <b>words</b>".into()), message: String::new() };
        assert_eq!(
            Error::Unauthorized { status: Some(401), fault, body: Box::default() }.to_string(),
            "the upstream does not accept the token (status 401)"
        );
    }

    #[test]
    fn a_block_points_to_the_official_api() {
        let error = Error::Blocked { by: Blocker::Captcha, status: None };
        assert!(error.to_string().contains("official API"), "{error}");
    }
}
