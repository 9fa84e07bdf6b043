//! The way of an upstream event to a client's chunk: each part alone, and all of it.
//!
//! The throughput is told in upstream bytes; that of `events/…` in events.

mod config;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use z2api_benches::{Reads, Said, Stream, decode, encode, events, transform, whole};
use z2api_stream_transform::ThinkMode;
use z2api_wire::event::{Dialect, Event};

const DIALECTS: [Dialect; 2] = [Dialect::ZaiWeb, Dialect::OpenAi];
const SAID: [Said; 2] = [Said::Answer, Said::Thinking];
/// Bytes of text in an event: a token, a sentence, a page.
const SIZES: [usize; 3] = [8, 100, 2000];
const EVENTS: usize = 1000;

fn name(dialect: Dialect, said: Said) -> String {
    format!("{dialect}/{said:?}").to_lowercase()
}

fn throughput(stream: &Stream) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: stream.ends.len() as u64,
        bytes: stream.bytes.len() as u64,
    }
}

/// Every mode, dialect, size and way to arrive.
fn whole_way(c: &mut Criterion) {
    for dialect in DIALECTS {
        for said in SAID {
            for reads in [Reads::Whole, Reads::Events, Reads::Bytes] {
                let kind = format!("whole/{}/{reads:?}", name(dialect, said)).to_lowercase();
                let mut group = c.benchmark_group(kind);
                for size in SIZES {
                    let stream = Stream::new(dialect, said, size, EVENTS);
                    let reads = stream.reads(reads);
                    group.throughput(throughput(&stream));
                    for mode in ThinkMode::ALL {
                        group.bench_function(BenchmarkId::new(mode.as_str(), size), |b| {
                            b.iter(|| whole(dialect, mode, black_box(&reads)));
                        });
                    }
                }
            }
        }
    }
}

fn decoding(c: &mut Criterion) {
    for dialect in DIALECTS {
        for reads in [Reads::Whole, Reads::Bytes] {
            let mut group = c.benchmark_group(format!("decode/{dialect}/{reads:?}").to_lowercase());
            for size in SIZES {
                let stream = Stream::new(dialect, Said::Answer, size, EVENTS);
                let reads = stream.reads(reads);
                group.throughput(throughput(&stream));
                group.bench_function(BenchmarkId::from_parameter(size), |b| {
                    b.iter(|| decode(dialect, black_box(&reads)));
                });
            }
        }
    }
}

fn transforming(c: &mut Criterion) {
    for dialect in DIALECTS {
        for said in SAID {
            let mut group = c.benchmark_group(format!("transform/{}", name(dialect, said)));
            for size in SIZES {
                let stream = Stream::new(dialect, said, size, EVENTS);
                let events = events(dialect, &stream.bytes);
                group.throughput(throughput(&stream));
                for mode in ThinkMode::ALL {
                    group.bench_function(BenchmarkId::new(mode.as_str(), size), |b| {
                        b.iter(|| transform(dialect, mode, black_box(&events)));
                    });
                }
            }
        }
    }
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for size in SIZES {
        let stream = Stream::new(Dialect::OpenAi, Said::Answer, size, EVENTS);
        let events = events(Dialect::OpenAi, &stream.bytes);
        let pieces: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Event::Text { text, .. } => Some(text.as_ref()),
                _other => None,
            })
            .collect();
        group.throughput(throughput(&stream));
        for (name, per_frame) in [("many_a_frame", 100), ("one_a_frame", 1)] {
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| encode(black_box(&pieces), per_frame));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = config::config();
    targets = whole_way, decoding, transforming, encoding
}
criterion_main!(benches);
