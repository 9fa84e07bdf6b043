//! SIGTERM and SIGINT.

use std::future::Future;

/// Resolves at the first SIGTERM or SIGINT. Heeds them from now on, not from its first poll.
///
/// # Errors
/// If the signals cannot be heeded.
pub fn signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
