//! Why there is no answer, or no more of it: by whose fault, and whether to try again.

use std::fmt;
use std::time::Duration;

use z2api_wire::Malformed;
use z2api_wire::fault::Fault;

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
    /// A clock of [`Timeouts`](crate::Timeouts) ran out.
    #[error("{wait} within {limit:?}")]
    Timeout {
        /// What was waited for.
        wait: Wait,
        /// How long.
        limit: Duration,
    },
    /// The upstream failed or refused for a reason that has no variant of its own.
    #[error("the upstream failed{}", Detail(*.status, .fault))]
    Upstream {
        /// The HTTP status; None if the error came inside an answer of status 200.
        status: Option<u16>,
        /// What it said.
        fault: Fault,
        /// Whether it may pass.
        verdict: Verdict,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Too many requests at once or in a time.
    #[error("the upstream's rate limit is reached{}", Detail(None, .fault))]
    RateLimited {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        fault: Fault,
    },
    /// The account has used up what it may use, or is in arrears. Waiting seconds does not help.
    #[error("the upstream account's quota is exhausted{}", Detail(None, .fault))]
    QuotaExhausted {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        fault: Fault,
    },
    /// The upstream does not accept our token.
    #[error("the upstream does not accept the token{}", Detail(None, .fault))]
    Unauthorized {
        /// What it said.
        fault: Fault,
    },
    /// The upstream has no such model.
    #[error("the upstream has no such model{}", Detail(None, .fault))]
    ModelNotFound {
        /// What it said.
        fault: Fault,
    },
    /// The request itself is wrong.
    #[error("the upstream finds the request wrong{}", Detail(*.status, .fault))]
    BadRequest {
        /// The HTTP status; None if it was refused inside a 200, or before it was sent.
        status: Option<u16>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The conversation is longer than the model can read.
    #[error("the conversation is too long for the model{}", Detail(None, .fault))]
    ContextLength {
        /// What it said.
        fault: Fault,
    },
    /// A filter of the upstream refused the request.
    #[error("the upstream's content filter refused the request{}", Detail(None, .fault))]
    ContentFilter {
        /// What it said.
        fault: Fault,
    },
    /// The upstream keeps unattended clients out. It is not worked around.
    #[error("{by}; the official API (api.z.ai/api/paas/v4, with an API key) is open to programs")]
    Blocked {
        /// By what.
        by: Blocker,
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

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A guest's token.
    GuestToken,
    /// The first event, over all attempts.
    FirstEvent,
    /// The next event with content.
    NextEvent,
    /// The end of the answer.
    End,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GuestToken => "the upstream gave no guest token",
            Self::FirstEvent => "the upstream sent no answer",
            Self::NextEvent => "the upstream sent nothing more",
            Self::End => "the upstream's answer did not end",
        })
    }
}

/// Whether a failure may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Transient,
    /// It will be the same next time.
    Final,
}

/// What keeps unattended clients out of the web chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
    /// A captcha for each message.
    Captcha,
    /// A demand for a newer page (status or code 426).
    ClientVersion,
    /// A firewall, which answers 405 or with HTML.
    Firewall,
    /// A demand for requests signed by the page.
    Signature,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captcha => "the upstream demands a captcha",
            Self::ClientVersion => "the upstream demands a newer version of its web page",
            Self::Firewall => "the upstream's firewall refused the request",
            Self::Signature => "the upstream demands requests signed by its web page",
        })
    }
}

/// What came instead of a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A web page.
    Html,
    /// JSON that is no known error.
    Json,
    /// A compressed body, though none was asked for.
    Compressed,
    /// Some other content type.
    OtherType,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Html => "a web page",
            Self::Json => "one JSON value",
            Self::Compressed => "a compressed body",
            Self::OtherType => "another content type",
        })
    }
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whoever asked.
    Caller,
    /// Whoever set this client up: its URL, token, account or limits.
    Gateway,
    /// The upstream.
    Upstream,
}

impl Error {
    /// A fixed word in snake case, for logs, metrics and error codes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "upstream_connect",
            Self::Certificate { .. } => "upstream_tls",
            Self::Disconnected { .. } => "upstream_disconnected",
            Self::Timeout { wait, .. } => match wait {
                Wait::GuestToken => "upstream_guest_token_timeout",
                Wait::FirstEvent => "upstream_first_event_timeout",
                Wait::NextEvent => "upstream_idle_timeout",
                Wait::End => "upstream_lifetime_timeout",
            },
            Self::Upstream { .. } => "upstream_error",
            Self::RateLimited { .. } => "upstream_rate_limited",
            Self::QuotaExhausted { .. } => "upstream_quota_exhausted",
            Self::Unauthorized { .. } => "upstream_unauthorized",
            Self::ModelNotFound { .. } => "model_not_found",
            Self::BadRequest { .. } => "bad_request",
            Self::ContextLength { .. } => "context_length_exceeded",
            Self::ContentFilter { .. } => "content_filter",
            Self::Blocked { by } => match by {
                Blocker::Captcha => "upstream_captcha_required",
                Blocker::ClientVersion => "upstream_client_version",
                Blocker::Firewall => "upstream_firewall",
                Blocker::Signature => "upstream_signature_required",
            },
            Self::Empty => "upstream_empty",
            Self::Truncated => "upstream_truncated",
            Self::Malformed(_) => "upstream_malformed",
            Self::NotAStream { .. } => "upstream_not_a_stream",
            Self::Redirected { .. } => "upstream_redirected",
            Self::Guest(_) => "upstream_no_guest_token",
        }
    }

    /// Whether asking again may end differently. Says nothing about what was already handed on.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::RateLimited { .. }
            | Self::Empty
            | Self::Truncated => true,
            Self::Timeout { wait, .. } => match wait {
                Wait::GuestToken => true,
                Wait::FirstEvent | Wait::NextEvent | Wait::End => false,
            },
            Self::Upstream { verdict, .. } => *verdict == Verdict::Transient,
            Self::Guest(error) => error.is_retryable(),
            Self::Certificate { .. }
            | Self::QuotaExhausted { .. }
            | Self::Unauthorized { .. }
            | Self::ModelNotFound { .. }
            | Self::BadRequest { .. }
            | Self::ContextLength { .. }
            | Self::ContentFilter { .. }
            | Self::Blocked { .. }
            | Self::Malformed(_)
            | Self::NotAStream { .. }
            | Self::Redirected { .. } => false,
        }
    }

    /// How long the upstream asks to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::QuotaExhausted { retry_after, .. } => *retry_after,
            Self::Guest(error) => error.retry_after(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Unauthorized { .. }
            | Self::ModelNotFound { .. }
            | Self::BadRequest { .. }
            | Self::ContextLength { .. }
            | Self::ContentFilter { .. }
            | Self::Blocked { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. }
            | Self::Redirected { .. } => None,
        }
    }

    /// Who can do something about it.
    pub fn owner(&self) -> Owner {
        match self {
            Self::ModelNotFound { .. }
            | Self::BadRequest { .. }
            | Self::ContextLength { .. }
            | Self::ContentFilter { .. } => Owner::Caller,
            Self::Unauthorized { .. } | Self::QuotaExhausted { .. } | Self::Redirected { .. } => {
                Owner::Gateway
            }
            Self::Timeout { wait, .. } => match wait {
                Wait::GuestToken | Wait::FirstEvent | Wait::NextEvent => Owner::Upstream,
                Wait::End => Owner::Gateway,
            },
            Self::Guest(error) => error.owner(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Upstream { .. }
            | Self::RateLimited { .. }
            | Self::Blocked { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. } => Owner::Upstream,
        }
    }

    /// What the upstream said, in its own words. They may quote the caller's request; a token of
    /// ours in them is masked, and HTML is left out.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Upstream { fault, .. }
            | Self::RateLimited { fault, .. }
            | Self::QuotaExhausted { fault, .. }
            | Self::Unauthorized { fault }
            | Self::ModelNotFound { fault }
            | Self::BadRequest { fault, .. }
            | Self::ContextLength { fault }
            | Self::ContentFilter { fault } => Some(fault),
            Self::Guest(error) => error.fault(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Blocked { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. }
            | Self::Redirected { .. } => None,
        }
    }
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
        let error = Error::Upstream {
            status: Some(500),
            fault,
            verdict: Verdict::Transient,
            retry_after: None,
        };
        assert_eq!(error.to_string(), "the upstream failed (status 500, code 1234)");
        let fault = Fault { code: Some("a code with <b>words</b>".into()), message: String::new() };
        assert_eq!(
            Error::Unauthorized { fault }.to_string(),
            "the upstream does not accept the token"
        );
    }

    #[test]
    fn a_failed_guest_is_judged_by_its_reason() {
        let guest = |error| Error::Guest(Box::new(error));
        assert!(guest(Error::Empty).is_retryable());
        assert!(!guest(Error::Redirected { status: 301 }).is_retryable());
        assert_eq!(guest(Error::Redirected { status: 301 }).owner(), Owner::Gateway);
    }

    #[test]
    fn a_block_points_to_the_official_api() {
        let error = Error::Blocked { by: Blocker::Captcha };
        assert!(error.to_string().contains("official API"), "{error}");
    }
}
