//! The small words errors are made of: who, what, which, and whether it may pass.

use std::fmt;

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
