//! The signals that the process heeds.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A future that resolves at the first SIGTERM or SIGINT, and every SIGHUP. All are heeded from now
/// on, not from the first poll: a SIGHUP would otherwise end the process.
///
/// # Errors
/// If the signals cannot be heeded.
pub fn signals() -> std::io::Result<(impl Future<Output = ()> + Send + 'static, Signal)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangups = signal(SignalKind::hangup())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok((stop, hangups))
}
