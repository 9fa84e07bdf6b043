//! What the benches measure with: streams of a known shape, and the way each takes.

mod requests;
mod stream;
mod way;

use std::time::Duration;

use criterion::Criterion;

pub use requests::request;
pub use stream::{Reads, Said, Stream};
pub use way::{Quiet, decode, encode, events, id, transform, whole};

/// How long each measurement takes: a second, so that all of them are over in minutes.
pub fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700))
}
