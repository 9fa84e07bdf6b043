//! The signals that the process heeds.

use futures::Stream;
use futures::stream::unfold;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A stream that yields once for each SIGTERM and SIGINT, and every SIGHUP. All are heeded from now
/// on, not from the first poll: a SIGHUP would otherwise end the process.
///
/// # Errors
/// If the signals cannot be heeded.
pub fn signals() -> std::io::Result<(impl Stream<Item = ()> + Send + 'static, Signal)> {
    let both = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hangups = signal(SignalKind::hangup())?;
    let stops = unfold(both, |(mut terminate, mut interrupt)| async move {
        let came = tokio::select! {
            came = terminate.recv() => came,
            came = interrupt.recv() => came,
        };
        came.map(|()| ((), (terminate, interrupt)))
    });
    Ok((stops, hangups))
}
