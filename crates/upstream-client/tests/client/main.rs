//! The client against a simulated upstream, on real sockets.

mod attempts;
mod certificates;
mod deadlines;
mod fake;
mod guests;
mod images;
mod log;
mod outages;
mod refusals;
mod requests;
mod stream;
mod support;
mod tokens;
mod waits;
