//! Time that passes when a test wants it to, whatever the machine is busy with.

use std::time::Duration;

use tokio::time::{advance, pause, resume};

/// A limit that no machine is too slow for, and that is shorter than a test's patience: a setting, in milliseconds.
pub const LONG: &str = "10000";

/// Lets that limit be over at once, for all clocks that run already. One that begins later takes its time.
pub async fn pass_long() {
    pause();
    advance(Duration::from_secs(10)).await;
    resume();
}
