//! Many streams open at once: what each takes of the server's memory and CPU. With a read rate
//! the readers are slow, and what the server holds for them is its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};

use crate::check::Judge;
use crate::connection::Connection;
use crate::options::Hold;
use crate::process::Process;
use crate::report::Report;

/// How long all streams may take to begin, beyond their turn.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a slow reader reads.
const READS_A_SECOND: usize = 10;

/// What all streams share.
struct Shared {
    address: std::net::SocketAddr,
    request: Vec<u8>,
    judge: Judge,
    /// Bytes to read at a time; 0 for all.
    bite: usize,
    begun: Cell<usize>,
    over: Cell<bool>,
    bytes: Cell<usize>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Hold) -> io::Result<Report> {
    let target = &options.target;
    let bite = options.read_rate.div_ceil(READS_A_SECOND);
    let shared = Rc::new(Shared {
        address: target.address,
        request: target.request(),
        judge: Judge::new(target),
        bite,
        begun: Cell::default(),
        over: Cell::default(),
        bytes: Cell::default(),
        errors: RefCell::default(),
    });
    LocalSet::new().run_until(hold(options, &shared)).await
}

async fn hold(options: &Hold, shared: &Rc<Shared>) -> io::Result<Report> {
    let process = options.target.pid.map(Process);
    let before = process.map(Process::memory);
    let (began, mut streams) = (Instant::now(), JoinSet::new());
    for at in 0..options.streams {
        sleep_until(began + Duration::from_secs_f64(at as f64 / options.per_second)).await;
        let shared = Rc::clone(shared);
        streams.spawn_local(async move {
            if let Err(error) = shared.stream().await {
                shared.errors.borrow_mut().push(error.to_string());
            }
        });
    }
    let late = Instant::now() + PATIENCE;
    while shared.begun.get() + shared.errors.borrow().len() < options.streams
        && Instant::now() < late
    {
        sleep(Duration::from_millis(20)).await;
    }
    let (cpu, bytes) = (process.map(Process::cpu), shared.bytes.get());
    sleep(Duration::from_secs_f64(options.seconds)).await;
    let mut report = Report::default();
    report.put("streams", options.streams);
    report.put("begun", shared.begun.get());
    report.put("bytes_a_second", (shared.bytes.get() - bytes) as f64 / options.seconds);
    if let (Some(process), Some(before), Some(cpu)) = (process, before, cpu) {
        let during = process.memory();
        report.put("memory_before", before);
        report.put("memory", during);
        report.put(
            "kib_a_stream",
            during.saturating_sub(before) as f64 / 1024.0 / options.streams as f64,
        );
        report.put("cpu_share", (process.cpu() - cpu).as_secs_f64() / options.seconds);
    }
    shared.over.set(true);
    // Each then judges what it has had.
    streams.join_all().await;
    report.errors(&shared.errors.borrow());
    Ok(report)
}

impl Shared {
    /// One stream, until all are over; its end before that is an error.
    async fn stream(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        connection.ask(&self.request).await?;
        let mut reading = self.judge.reading();
        let mut begun = false;
        let mut pace = interval(Duration::from_millis(1000 / READS_A_SECOND as u64));
        let most = if self.bite == 0 { 64 * 1024 } else { self.bite };
        while !self.over.get() {
            if self.bite > 0 {
                pace.tick().await;
            }
            let mut take = |bytes: &[u8]| {
                self.bytes.set(self.bytes.get() + bytes.len());
                reading.take(bytes)
            };
            let soon = Instant::now() + Duration::from_secs(1);
            if let Ok(read) = timeout_at(soon, connection.next(most, &mut take)).await
                && !read?
            {
                return Err(io::Error::other("a stream ended too soon"));
            }
            if !begun && reading.at > 0 {
                begun = true;
                self.begun.set(self.begun.get() + 1);
            }
        }
        reading.stop()
    }
}
