//! The way of events through the gateway, once, for counting instructions (`benches/instructions`);
//! or with `CPU=1` many times, telling the least CPU time of them.

use std::env::{args, var_os};

use z2api_benches::{Reads, Said, Stream, whole};
use z2api_stream_transform::ThinkMode;
use z2api_wire::event::Dialect;

const USAGE: &str = "count zai-web|openai answer|thinking think|strip|raw|reasoning SIZE EVENTS whole|events|bytes [plain]";

fn main() {
    let args: Vec<String> = args().skip(1).collect();
    let [dialect, said, mode, size, events, reads, plain @ ..] = &args[..] else {
        panic!("{USAGE}")
    };
    let dialect = match dialect.as_str() {
        "zai-web" => Dialect::ZaiWeb,
        "openai" => Dialect::OpenAi,
        _other => panic!("{USAGE}"),
    };
    let said = if said == "thinking" { Said::Thinking } else { Said::Answer };
    let mode: ThinkMode = mode.parse().expect(USAGE);
    let reads = match reads.as_str() {
        "whole" => Reads::Whole,
        "events" => Reads::Events,
        "bytes" => Reads::Bytes,
        _other => panic!("{USAGE}"),
    };
    let (size, events): (usize, usize) = (size.parse().expect(USAGE), events.parse().expect(USAGE));
    // The stream is made for the most events, so that making it costs every run the same.
    let make = if plain.is_empty() { Stream::new } else { Stream::plain };
    let stream = make(dialect, said, size, 20_000);
    let reads = stream.reads(reads);
    let part = &reads[..reads.len() * events.min(20_000) / 20_000];
    let bytes = whole(dialect, mode, part);
    if var_os("CPU").is_some() && events > 0 {
        let least = (0..200).map(|_| cpu_time(|| whole(dialect, mode, part))).min();
        let each = least.unwrap_or_default() as f64 / events as f64;
        println!("{bytes} bytes, {each:.1} ns an event");
    } else {
        println!("{bytes} bytes");
    }
}

/// Nanoseconds on the CPU, which a busy machine changes less than those on the wall.
fn cpu_time(run: impl FnOnce() -> usize) -> u64 {
    let clock = || -> u64 {
        // Waits first: the kernel counts up to the last time the thread let go.
        std::thread::yield_now();
        let told = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
        told.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
    };
    let began = clock();
    std::hint::black_box(run());
    clock() - began
}
