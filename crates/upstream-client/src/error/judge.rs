//! What follows from an error: its word, its owner, and whether and when to ask again.

use std::time::Duration;

use z2api_wire::fault::Fault;

use crate::error::{Blocker, Error, Owner, Verdict, Wait};

impl Error {
    /// A fixed word in snake case, for logs, metrics and error codes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "upstream_connect",
            Self::Certificate { .. } => "upstream_tls",
            Self::Disconnected { .. } => "upstream_disconnected",
            Self::Unavailable { .. } => "upstream_unavailable",
            Self::Timeout { which, .. } => match which {
                Wait::GuestToken => "upstream_guest_token_timeout",
                Wait::FirstEvent => "upstream_first_event_timeout",
                Wait::NextEvent => "upstream_idle_timeout",
                Wait::End => "upstream_lifetime_timeout",
            },
            Self::Rejected { .. } => "upstream_error",
            Self::RateLimited { .. } => "upstream_rate_limited",
            Self::QuotaExhausted { .. } => "upstream_quota_exhausted",
            Self::Unauthorized { .. } => "upstream_unauthorized",
            Self::ModelNotFound { .. } => "model_not_found",
            Self::BadRequest { .. } => "bad_request",
            Self::ContextLength { .. } => "context_length_exceeded",
            Self::ContentFilter { .. } => "content_filter",
            Self::Blocked { by, .. } => match by {
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
            | Self::Unavailable { .. }
            | Self::RateLimited { .. }
            | Self::Empty
            | Self::Truncated => true,
            Self::Timeout { which, .. } => match which {
                Wait::GuestToken => true,
                Wait::FirstEvent | Wait::NextEvent | Wait::End => false,
            },
            Self::Rejected { verdict, .. } => *verdict == Verdict::Transient,
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
            Self::Rejected { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::QuotaExhausted { retry_after, .. } => *retry_after,
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
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

    /// The same, with so long to wait, where that can be said.
    pub(crate) fn asking_for(mut self, wait: Duration) -> Self {
        if let Self::Rejected { retry_after, .. }
        | Self::RateLimited { retry_after, .. }
        | Self::QuotaExhausted { retry_after, .. } = &mut self
        {
            *retry_after = Some(wait);
        }
        self
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
            Self::Guest(error) => error.owner(),
            Self::Unavailable { last, .. } => last.owner(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Rejected { .. }
            | Self::RateLimited { .. }
            | Self::Blocked { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. } => Owner::Upstream,
        }
    }

    /// The HTTP status of the upstream's answer. None if it gave none, and for an error inside an
    /// answer of status 200.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. }
            | Self::RateLimited { status, .. }
            | Self::QuotaExhausted { status, .. }
            | Self::Unauthorized { status, .. }
            | Self::ModelNotFound { status, .. }
            | Self::BadRequest { status, .. }
            | Self::ContextLength { status, .. }
            | Self::ContentFilter { status, .. }
            | Self::Blocked { status, .. } => *status,
            Self::Redirected { status } => Some(*status),
            Self::Guest(error) => error.status(),
            Self::Unavailable { last, .. } => last.status(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. } => None,
        }
    }

    /// The body of the upstream's refusal as text: bounded, without HTML and without our token.
    /// Empty if there was none. It may quote the caller's request: not for logs.
    pub fn body(&self) -> &str {
        match self {
            Self::Rejected { body, .. }
            | Self::RateLimited { body, .. }
            | Self::QuotaExhausted { body, .. }
            | Self::Unauthorized { body, .. }
            | Self::ModelNotFound { body, .. }
            | Self::BadRequest { body, .. }
            | Self::ContextLength { body, .. }
            | Self::ContentFilter { body, .. } => body,
            Self::Guest(error) => error.body(),
            Self::Unavailable { last, .. } => last.body(),
            Self::Connect { .. }
            | Self::Certificate { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. }
            | Self::Blocked { .. }
            | Self::Empty
            | Self::Truncated
            | Self::Malformed(_)
            | Self::NotAStream { .. }
            | Self::Redirected { .. } => "",
        }
    }

    /// A mistake of the caller's that is found before the request is sent.
    pub(crate) fn unsent(code: Option<&str>, message: impl Into<String>) -> Self {
        let fault = Fault { code: code.map(str::to_owned), message: message.into() };
        Self::BadRequest { status: None, fault, body: Box::default() }
    }

    /// What the upstream said, in its own words. They may quote the caller's request; a token of
    /// ours in them is masked, and HTML is left out.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Rejected { fault, .. }
            | Self::RateLimited { fault, .. }
            | Self::QuotaExhausted { fault, .. }
            | Self::Unauthorized { fault, .. }
            | Self::ModelNotFound { fault, .. }
            | Self::BadRequest { fault, .. }
            | Self::ContextLength { fault, .. }
            | Self::ContentFilter { fault, .. } => Some(fault),
            Self::Guest(error) => error.fault(),
            Self::Unavailable { last, .. } => last.fault(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_guest_is_judged_by_its_reason() {
        let guest = |error| Error::Guest(Box::new(error));
        assert!(guest(Error::Empty).is_retryable());
        assert!(!guest(Error::Redirected { status: 301 }).is_retryable());
        assert_eq!(guest(Error::Redirected { status: 301 }).owner(), Owner::Gateway);
    }
}
