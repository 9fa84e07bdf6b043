//! What the benches are run with.

use std::time::Duration;

use criterion::Criterion;

/// How long each measurement takes: a second, so that all of them are over in minutes.
pub(crate) fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700))
}
