//! Taking and giving back a permit: alone, and with many who want one.

mod config;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use z2api_admission::{Admission, Caller, Settings};

/// How many keys they have between them.
const KEYS: usize = 8;
/// How many ask at once where permits are contended.
const CALLERS: usize = 64;

fn admission(permits: usize) -> Admission {
    let mut settings = Settings::default();
    settings.max_in_flight = permits;
    settings.queue = 2 * CALLERS;
    Admission::new(settings)
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_time().build().expect("a runtime")
}

/// `rounds` permits in all, taken and given back by so many callers at once.
async fn take_and_return(admission: Admission, callers: usize, rounds: u64) -> Duration {
    let began = Instant::now();
    let share = rounds.div_ceil(callers as u64);
    let tasks = (0..callers).map(|number| {
        let admission = admission.clone();
        let caller = Caller::unlimited((number % KEYS) as u64);
        tokio::spawn(async move {
            for _ in 0..share {
                let share = admission.share(&caller).expect("room in the queue");
                drop(share.admit().await.expect("a permit"));
                tokio::task::consume_budget().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a caller that does not panic");
    }
    began.elapsed()
}

fn permits(c: &mut Criterion) {
    let mut group = c.benchmark_group("admission");
    group.throughput(Throughput::Elements(1));
    let cases = [
        ("idle", 1, 1, 1000),
        ("two_threads_with_room", 2, CALLERS, 1000),
        ("two_threads_in_line", 2, CALLERS, 4),
    ];
    for (name, threads, callers, permits) in cases {
        let runtime = runtime(threads);
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                runtime.block_on(take_and_return(admission(permits), callers, rounds))
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = config::config();
    targets = permits
}
criterion_main!(benches);
