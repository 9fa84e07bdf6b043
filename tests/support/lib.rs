//! What the tests of the workspace share: the streams of `tests/streams` and what they mean.

mod streams;

pub use streams::{Case, Ends, MeantCall, cases};
