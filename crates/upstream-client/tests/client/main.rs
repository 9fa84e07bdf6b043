//! The client against a simulated upstream, on real sockets.

mod attempts;
mod deadlines;
mod guests;
mod refusals;
mod requests;
mod stream;
mod support;
