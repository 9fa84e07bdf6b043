//! Answers in both dialects, for tests, benches and the demo to build their streams from.

mod answer;
mod api;
mod web;
mod words;

pub use answer::Answer;
pub(crate) use answer::pieces;
pub use words::words;
