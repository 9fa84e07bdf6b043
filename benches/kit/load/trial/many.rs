//! Ten thousand slow streams at once: every byte of each, and what each takes of memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};
use z2api_upstream_sim::text::words;

use crate::check::Judge;
use crate::connection::Connection;
use crate::process::Process;
use crate::trial::Verdict;
use crate::trial::ask::question;
use crate::trial::stage::{Gateway, Upstream};

/// What a gateway may take for a stream, in KiB.
const AIM: f64 = 24.0;
/// Descriptors that are not for streams.
const SPARE: u64 = 1000;
/// Characters of each event.
const PIECE: usize = 8;
/// Bytes to read at a time: ten thousand large buffers would be a load of their own.
const READ: usize = 4096;

#[derive(Debug, clap::Args)]
pub(crate) struct Many {
    /// How many streams; fewer where the limit of open files is too low for two sockets each
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// How many to open a second
    #[arg(long, default_value_t = 400.0)]
    per_second: f64,
    /// Bytes of text of each answer, 8 characters an event
    #[arg(long, default_value_t = 640)]
    bytes: usize,
    /// Milliseconds between two events
    #[arg(long, default_value_t = 1000)]
    pace_ms: u64,
}

/// What all streams share.
struct Shared {
    address: SocketAddr,
    request: Vec<u8>,
    judge: Judge,
    open: Cell<usize>,
    most_open: Cell<usize>,
    whole: Cell<usize>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Many) -> io::Result<Verdict> {
    let room = (rlimit::getrlimit(rlimit::Resource::NOFILE)?.0.saturating_sub(SPARE) / 2) as usize;
    let streams = options.streams.min(room);
    let upstream = Upstream::start(0)?;
    let (slots, text) = (streams.to_string(), words(options.bytes, 1));
    let gateway = Gateway::start(&upstream.url, &[("MAX_CONCURRENT_CONNECTIONS", slots.as_str())])?;
    let ask = |pace| question(gateway.address, &text, json!({"piece": PIECE, "pace_ms": pace}));
    let shared = Rc::new(Shared {
        address: gateway.address,
        request: ask(options.pace_ms).request,
        judge: Judge::of(text.clone()),
        open: Cell::default(),
        most_open: Cell::default(),
        whole: Cell::default(),
        errors: RefCell::default(),
    });
    // The others are compared with this one, which is not slow.
    shared.stream(&ask(0).request).await?;
    shared.whole.take();
    let mut verdict = Verdict::default();
    verdict.report.put("room", gateway.room.as_str());
    verdict.report.put("streams", streams);
    let began = Instant::now();
    LocalSet::new().run_until(all(options, streams, &gateway, &shared, &mut verdict)).await?;
    let report = &mut verdict.report;
    report.put("seconds", began.elapsed().as_secs_f64());
    report.put("at_once", shared.most_open.get());
    report.put("whole", shared.whole.get());
    report.put("bytes_each", shared.judge.size());
    report.errors(&shared.errors.borrow());
    verdict.must("all at once", shared.most_open.get() == streams);
    verdict.must("every byte of each", shared.whole.get() == streams);
    verdict.must("calm after it", gateway.calms_down().await?);
    Ok(verdict)
}

async fn all(
    options: &Many,
    streams: usize,
    gateway: &Gateway,
    shared: &Rc<Shared>,
    verdict: &mut Verdict,
) -> io::Result<()> {
    let process = gateway.process();
    let before = process.memory();
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for at in 0..streams {
        sleep_until(began + Duration::from_secs_f64(at as f64 / options.per_second)).await;
        let shared = Rc::clone(shared);
        tasks.spawn_local(async move {
            if let Err(error) = shared.stream(&shared.request).await {
                shared.errors.borrow_mut().push(error.to_string());
            }
        });
    }
    while shared.most_open.get() < streams && !tasks.is_empty() {
        sleep(Duration::from_millis(20)).await;
        while tasks.try_join_next().is_some() {}
    }
    let in_flight = gateway.status().await?["current_connections"].as_u64().unwrap_or_default();
    let (cpu, from) = (process.cpu(), Instant::now());
    sleep(Duration::from_secs(5)).await;
    let (share, during) = (cpu_share(process, cpu, from), process.memory());
    let each = during.saturating_sub(before) as f64 / 1024.0 / streams as f64;
    tasks.join_all().await;
    verdict.report.put("in_flight", in_flight);
    verdict.report.put("memory_before", before);
    verdict.report.put("memory", during);
    verdict.report.put("kib_a_stream", each);
    verdict.report.put("cpu_share", share);
    verdict.must(format!("within {AIM} KiB a stream"), each <= AIM);
    verdict.must("each has a slot", in_flight == streams as u64);
    Ok(())
}

fn cpu_share(process: Process, before: Duration, from: Instant) -> f64 {
    (process.cpu() - before).as_secs_f64() / from.elapsed().as_secs_f64()
}

impl Shared {
    async fn stream(&self, request: &[u8]) -> io::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        connection.ask(request).await?;
        let mut reading = self.judge.reading();
        let mut begun = false;
        let over = loop {
            let more = connection.next(READ, &mut |bytes| reading.take(bytes)).await;
            if !begun && reading.at > 0 {
                begun = true;
                self.open.set(self.open.get() + 1);
                self.most_open.set(self.most_open.get().max(self.open.get()));
            }
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.open.set(self.open.get() - usize::from(begun));
        over?;
        reading.end()?;
        self.whole.set(self.whole.get() + 1);
        Ok(())
    }
}
