//! OpenAI's Chat Completions API: what clients send, what they read, what upstreams stream.

pub mod error;
pub mod models;
pub mod request;
mod search;
pub(crate) mod stream;

pub use stream::decode;
