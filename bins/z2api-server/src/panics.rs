//! A fault of ours costs one request, and one line of the log that holds nothing of it.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::body::Response;
use crate::error::ApiError;

/// Has panics logged by where they happened. Their messages are not told: they may hold pieces of
/// a request.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(r#type = "panic", place, thread, "a fault within the gateway");
    }));
}

/// The answer, or a 500 in its place if making it panics. What the handler holds is dropped by the
/// panic: its slot returns, its record is closed. `write` makes the body.
///
/// No async function: that would keep room for the handler twice, as it is given and as it runs.
pub(crate) fn caught(
    handler: impl Future<Output = Response>,
    write: impl FnOnce(&ApiError) -> Vec<u8>,
) -> impl Future<Output = Response> {
    AssertUnwindSafe(handler).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_| {
            let error = ApiError::panicked();
            error.response(write(&error))
        })
    })
}
