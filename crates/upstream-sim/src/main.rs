//! Placeholder entry of the simulated upstream.

fn main() {}
