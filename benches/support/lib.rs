//! What the benches measure with: streams of a known shape, and the way each takes.

mod requests;
mod stream;
mod way;

pub use requests::request;
pub use stream::{Reads, Said, Stream};
pub use way::{Quiet, decode, encode, events, id, transform, whole};
