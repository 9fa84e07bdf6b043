//! Anthropic's Messages API as its clients speak it. Follows Anthropic's published reference of
//! the version `2023-06-01`.

pub mod error;
pub mod models;
mod options;
pub mod request;
mod turn;
