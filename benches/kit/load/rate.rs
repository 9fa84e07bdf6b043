//! An open loop: requests come at their time, whether or not the answers keep up. Times count
//! from when a request was due, so that a server that falls behind cannot hide it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::check::Judge;
use crate::connection::Connection;
use crate::options::Rate;
use crate::process::Process;
use crate::report::{Report, micros};

/// What all requests share.
struct Shared {
    address: std::net::SocketAddr,
    request: Vec<u8>,
    judge: Judge,
    idle: RefCell<Vec<Connection>>,
    first_bytes: RefCell<Vec<Duration>>,
    ends: RefCell<Vec<Duration>>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Rate) -> io::Result<Report> {
    let target = &options.target;
    let shared = Rc::new(Shared {
        address: target.address,
        request: target.request(),
        judge: Judge::new(target),
        idle: RefCell::default(),
        first_bytes: RefCell::default(),
        ends: RefCell::default(),
        errors: RefCell::default(),
    });
    // The first answer alone: the others are compared with it.
    shared.ask(Instant::now()).await?;
    shared.first_bytes.take();
    shared.ends.take();
    let process = target.pid.map(Process);
    let (began, cpu) = (Instant::now(), process.map(Process::cpu));
    let count = (options.per_second * options.seconds) as u32;
    LocalSet::new().run_until(ask_all(&shared, began, count, options.pause())).await;
    let mut report = Report::default();
    report.put("requests", count);
    report.put("seconds", began.elapsed().as_secs_f64());
    if let (Some(process), Some(before)) = (process, cpu) {
        report.put("cpu_us", micros((process.cpu() - before) / count.max(1)));
        report.put("memory", process.memory());
    }
    report.put("connections", shared.idle.borrow().len());
    report.times("first_byte_us", shared.first_bytes.take());
    report.times("took_us", shared.ends.take());
    report.errors(&shared.errors.take());
    Ok(report)
}

async fn ask_all(shared: &Rc<Shared>, began: Instant, count: u32, pause: Duration) {
    let mut asked = JoinSet::new();
    for at in 0..count {
        let due = began + pause * at;
        sleep_until(due).await;
        let shared = Rc::clone(shared);
        asked.spawn_local(async move {
            if let Err(error) = shared.ask(due).await {
                shared.errors.borrow_mut().push(error.to_string());
            }
        });
    }
    asked.join_all().await;
}

impl Shared {
    async fn ask(&self, due: Instant) -> io::Result<()> {
        let kept = self.idle.borrow_mut().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let late = due.elapsed();
        connection.ask(&self.request).await?;
        let mut reading = self.judge.reading();
        let (first, end) = connection.finish(|bytes| reading.take(bytes)).await?;
        reading.end()?;
        self.first_bytes.borrow_mut().push(late + first);
        self.ends.borrow_mut().push(late + end);
        self.idle.borrow_mut().push(connection);
        Ok(())
    }
}
