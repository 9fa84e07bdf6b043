//! The client against a simulated upstream, on real sockets.

mod attempts;
mod certificates;
mod connections;
mod cuts;
mod deadlines;
mod fake;
mod framing;
mod guests;
mod http2;
mod images;
mod log;
mod outages;
mod peers;
mod proxy;
mod refusals;
mod requests;
mod secure;
mod storms;
mod stream;
mod support;
mod tokens;
mod waits;
