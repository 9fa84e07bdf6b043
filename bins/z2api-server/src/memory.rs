//! Whether there is memory for more work.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use z2api_observability::resident_memory;

/// A reading is good for this long.
const FRESH: Duration = Duration::from_millis(250);

/// The resident memory of the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    reading: Mutex<Option<(Instant, u64)>>,
}

impl Memory {
    /// Resident memory in bytes, at most a quarter of a second old. 0 where it cannot be told.
    pub(crate) fn resident(&self) -> u64 {
        let mut reading = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        match *reading {
            Some((at, bytes)) if now - at < FRESH => bytes,
            _ => {
                let bytes = resident_memory().unwrap_or(0);
                *reading = Some((now, bytes));
                bytes
            }
        }
    }

    /// Whether more than `limit` bytes are resident.
    pub(crate) fn is_short(&self, limit: u64) -> bool {
        self.resident() > limit
    }
}
