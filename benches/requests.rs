//! Reading a chat request's JSON, and putting it into the upstream's terms.

mod config;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use z2api_benches::request;
use z2api_stream_transform::{ModelTable, Server, chat_of};
use z2api_wire::openai::request::ChatRequest;

/// Turns and bytes a turn: a question, a conversation, a coding agent's.
const SHAPES: [(usize, usize); 3] = [(1, 40), (20, 400), (200, 2000)];

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("request/parse");
    for (turns, size) in SHAPES {
        let json = request(turns, size);
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{turns}x{size}")), |b| {
            b.iter(|| serde_json::from_slice::<ChatRequest>(black_box(&json)).expect("a request"));
        });
    }
}

fn translating(c: &mut Criterion) {
    let models = ModelTable::built_in();
    let mut group = c.benchmark_group("request/translate");
    for (turns, size) in SHAPES {
        let json = request(turns, size);
        for server in [Server::WebChat, Server::Official] {
            let name = BenchmarkId::new(server.dialect().to_string(), format!("{turns}x{size}"));
            group.throughput(Throughput::Bytes(json.len() as u64));
            group.bench_function(name, |b| {
                b.iter_with_setup(
                    || serde_json::from_slice::<ChatRequest>(&json).expect("a request"),
                    |request| chat_of(request, &models, server).expect("a chat"),
                );
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = config::config();
    targets = parsing, translating
}
criterion_main!(benches);
