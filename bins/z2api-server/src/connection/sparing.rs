//! Tells of what can happen too often to be told each time.

use std::time::Duration;

use tokio::time::Instant;

/// It is told no more often than this.
const EVERY: Duration = Duration::from_secs(1);

/// How often something has happened since it was told last. What is never told again is in the
/// counts of the metrics only.
#[derive(Debug, Default)]
pub(crate) struct Sparing {
    untold: u64,
    told: Option<Instant>,
}

impl Sparing {
    /// It happens. How many times are to be told now, this one among them; none, if it was told
    /// just before.
    pub(crate) fn happens(&mut self) -> Option<u64> {
        self.untold += 1;
        let now = Instant::now();
        if self.told.is_some_and(|told| now - told < EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_once_a_second_with_the_number_of_the_untold() {
        let mut flood = Sparing::default();
        assert_eq!(flood.happens(), Some(1));
        let mut told = Vec::new();
        for _ in 0..300 {
            sleep(Duration::from_millis(10)).await;
            told.extend(flood.happens());
        }
        assert_eq!(told, [100, 100, 100]);
        sleep(EVERY).await;
        assert_eq!(flood.happens(), Some(1));
    }
}
