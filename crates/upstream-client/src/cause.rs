//! The cause of a library's error, in words that are safe to log.

use std::error::Error as StdError;
use std::io;

use crate::transport::TransportError;

/// The innermost cause. The outer ones may name the URL.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// The error and what it came from, from the outside in.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> + 'a {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        // The source of an I/O error passes over the error it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

/// Why there is no connection.
pub(crate) fn no_connection(error: &(dyn StdError + 'static)) -> TransportError {
    let reason = words(error);
    let distrusts = |cause: &(dyn StdError + 'static)| {
        matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    };
    if chain(error).any(distrusts) {
        return TransportError::Certificate { reason };
    }
    TransportError::Connect { reason }
}
