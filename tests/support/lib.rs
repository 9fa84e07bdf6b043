//! What the tests of the workspace share: the streams of `tests/streams` with their meaning, a
//! gateway in front of a simulated upstream, and a client that sees the bytes.

mod certificate;
mod clock;
mod gateway;
mod http;
mod level;
mod listen;
pub mod openai;
mod raw;
mod said;
mod shown;
mod streams;
mod texts;
pub mod watch;
pub mod web;

pub use certificate::Certificate;
pub use clock::{LONG, pass_long};
pub use gateway::{Gateway, KEY, PATIENCE};
pub use http::{Reply, send};
pub use level::Level;
pub use listen::{foreign_traces, listen_as};
pub use raw::{Answer, Raw, answers, chat_request};
pub use streams::{Case, Ends, MeantCall, MeantSource, cases};
