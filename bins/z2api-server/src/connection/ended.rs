//! How a conversation ended, and whose doing it was.

use std::error::Error;
use std::io;

use super::refusals::Refused;
use super::watch::{Watch, Why};
use crate::body::NoRest;

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By the protocol's rules, or by a fault of ours that has been told.
    ByProtocol,
    /// From beside, or by the peer.
    Dropped(Why),
    /// The peer did not keep to the rules.
    Refused(Why, Box<Refused>),
}

impl Ended {
    /// hyper's part ended so.
    pub(crate) fn by_hyper(error: &hyper::Error, watch: &Watch) -> Self {
        if error.is_parse_too_large() {
            return Self::refused(Why::HeadTooLarge, error.to_string());
        }
        if error.is_parse() {
            return Self::refused(Why::Malformed, error.to_string());
        }
        if error.is_user() {
            return Self::ByProtocol;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::by_socket(error, watch);
            }
            cause = error.source();
        }
        if error.is_timeout() {
            // Of HTTP/2: no answer to a ping.
            return Self::Dropped(Why::Vanished);
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::Dropped(Why::HungUp);
        }
        // What is left is HTTP/2, with GOAWAY.
        Self::refused(Why::Malformed, error.to_string())
    }

    /// Reading or writing ended so.
    pub(crate) fn by_socket(error: &io::Error, watch: &Watch) -> Self {
        let inner = error.get_ref();
        if inner.is_some_and(|inner| inner.is::<NoRest>()) {
            return Self::ByProtocol;
        }
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return Self::refused(Why::Malformed, error.to_string());
        }
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::refused(Why::Malformed, error.kind().to_string())
            }
            kind => Self::Dropped(gone(kind, watch)),
        }
    }

    /// The same, where the socket has said something else than what ended it: hyper takes an error
    /// between two requests for an end, and what it does to a broken socket then fails otherwise.
    pub(crate) fn told_by_socket(self, watch: &Watch) -> Self {
        match (self, watch.gone()) {
            (Self::ByProtocol | Self::Dropped(_), Some(why)) => Self::Dropped(why),
            (ended, _) => ended,
        }
    }

    /// A handshake of TLS ended so.
    pub(crate) fn by_handshake(error: &io::Error, watch: &Watch) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::refused(Why::NoTls, error.to_string()),
            None => Self::by_socket(error, watch),
        }
    }

    fn refused(why: Why, reason: String) -> Self {
        Self::Refused(why, Box::new(Refused { reason, id: None }))
    }
}

/// How a peer is gone whose socket says this. The kernel gives up on one that does not answer any
/// more: of an answer that is on its way nothing was taken then (TCP_USER_TIMEOUT), whether the peer
/// lives or not; otherwise it has vanished.
pub(crate) fn gone(kind: io::ErrorKind, watch: &Watch) -> Why {
    match kind {
        io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => {
            if watch.has_answer() {
                Why::Stalled
            } else {
                Why::Vanished
            }
        }
        // Resets and ends. There are many kinds.
        _ => Why::HungUp,
    }
}

#[cfg(test)]
mod tests {
    use z2api_config::{Config, Flags};

    use super::*;

    fn watch() -> Watch {
        let config = Config::from_lookup(&Flags::default(), &|_| None).unwrap();
        Watch::new(&config.peers, &config.limits)
    }

    /// As the kernel says it.
    fn said(code: i32) -> io::ErrorKind {
        io::Error::from_raw_os_error(code).kind()
    }

    #[test]
    fn a_peer_that_the_kernel_gives_up_on_has_vanished_and_one_that_resets_has_hung_up() {
        for code in [libc::ETIMEDOUT, libc::EHOSTUNREACH, libc::ENETUNREACH] {
            assert_eq!(gone(said(code), &watch()), Why::Vanished, "{code}");
        }
        for code in [libc::ECONNRESET, libc::EPIPE, libc::ECONNABORTED] {
            assert_eq!(gone(said(code), &watch()), Why::HungUp, "{code}");
        }
    }

    #[test]
    fn a_peer_that_is_given_up_on_with_an_answer_on_its_way_did_not_take_it() {
        let watch = watch();
        watch.request_begins();
        assert_eq!(gone(said(libc::ETIMEDOUT), &watch), Why::Vanished, "nothing was sent");
        watch.answer_begins();
        assert_eq!(gone(said(libc::ETIMEDOUT), &watch), Why::Stalled);
        assert_eq!(gone(said(libc::ECONNRESET), &watch), Why::HungUp);
        watch.answer_ends();
        assert_eq!(gone(said(libc::ETIMEDOUT), &watch), Why::Stalled, "it has not left");
        watch.flushed();
        assert_eq!(gone(said(libc::ETIMEDOUT), &watch), Why::Vanished);
    }

    #[test]
    fn the_first_word_of_the_socket_counts_and_not_what_fails_after_it() {
        let watch = watch();
        watch.breaks(gone(said(libc::ETIMEDOUT), &watch));
        watch.breaks(gone(said(libc::ENOTCONN), &watch));
        for ended in [
            Ended::ByProtocol,
            Ended::by_socket(&io::Error::from_raw_os_error(libc::ENOTCONN), &watch),
        ] {
            let ended = ended.told_by_socket(&watch);
            assert!(matches!(ended, Ended::Dropped(Why::Vanished)), "{ended:?}");
        }
        let refused = Ended::refused(Why::Malformed, String::new()).told_by_socket(&watch);
        assert!(matches!(refused, Ended::Refused(Why::Malformed, _)), "{refused:?}");
    }

    #[test]
    fn a_handshake_that_breaks_off_is_no_fault_of_tls() {
        let ended = |error: io::Error| Ended::by_handshake(&error, &watch());
        let end = ended(io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(end, Ended::Dropped(Why::HungUp)), "{end:?}");
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let refused = ended(io::Error::new(io::ErrorKind::InvalidData, alert));
        assert!(matches!(&refused, Ended::Refused(Why::NoTls, _)), "{refused:?}");
    }
}
