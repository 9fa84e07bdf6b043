//! OpenAI's Chat Completions API: what clients send, what they read, what upstreams stream.

pub mod completion;
pub mod error;
mod message;
pub mod models;
pub mod request;
pub mod responses;
mod search;
pub(crate) mod stream;
pub mod tools;

pub use stream::decode;
