//! The simulator as a client meets it: over a raw socket.

mod answers;
mod client;
mod faults;
mod guests;
mod log;
mod misfits;
mod program;
