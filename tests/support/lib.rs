//! What the tests of the workspace share: the streams of `tests/streams` with their meaning, a
//! gateway in front of a simulated upstream, and a client that sees the bytes.

mod gateway;
mod http;
pub mod openai;
mod raw;
pub mod reference;
mod said;
mod streams;
pub mod web;

pub use gateway::{Gateway, KEY, PATIENCE};
pub use http::{Reply, send};
pub use raw::{Answer, Raw, answers, chat_request};
pub use streams::{Case, Ends, MeantCall, MeantSource, cases};
