//! What must hold of the gateway's parts for any bytes.
//!
//! A law is a plain function that panics where it is broken. `tests/laws.rs` holds the laws against
//! seeds and made-up bytes, `tests/fuzz` against whatever a fuzzer finds.

mod answers;
mod framing;
mod reads;
pub mod reference;
mod requests;
mod streams;

pub use answers::answers;
pub use framing::framing;
pub use requests::requests;
pub use streams::{said_alike, streams};

/// A law, and its name: also that of the fuzz target and of the folder of its seeds.
pub type Law = (&'static str, fn(&[u8]));

/// All laws.
pub const LAWS: [Law; 4] =
    [("answers", answers), ("framing", framing), ("requests", requests), ("streams", streams)];
