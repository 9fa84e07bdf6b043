//! A closed loop: whoever has its answer asks again. How much that costs the server.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::check::Judge;
use crate::connection::Connection;
use crate::options::Closed;
use crate::process::Process;
use crate::report::{Report, micros};

/// What all connections share.
struct Loop<'a> {
    options: &'a Closed,
    request: Vec<u8>,
    judge: Judge,
    left: Cell<usize>,
    first_bytes: RefCell<Vec<Duration>>,
    ends: RefCell<Vec<Duration>>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Closed) -> io::Result<Report> {
    let shared = Loop {
        options,
        request: options.target.request(),
        judge: Judge::new(&options.target),
        left: Cell::new(options.warm_up.max(1)),
        first_bytes: RefCell::default(),
        ends: RefCell::default(),
        errors: RefCell::default(),
    };
    // The first answer alone: the others are compared with it.
    let mut connections = vec![Connection::open(options.target.address).await?];
    shared.ask(&mut connections[0]).await?;
    while connections.len() < options.connections {
        connections.push(Connection::open(options.target.address).await?);
    }
    shared.all(&mut connections).await;
    shared.first_bytes.take();
    shared.ends.take();
    shared.left.set(options.requests);
    let process = options.target.pid.map(Process);
    let (began, cpu) = (Instant::now(), process.map(Process::cpu));
    shared.all(&mut connections).await;
    let took = began.elapsed();
    let mut report = Report::default();
    report.put("requests", options.requests);
    report.put("seconds", took.as_secs_f64());
    report.put("bytes", shared.judge.size());
    if let (Some(process), Some(before)) = (process, cpu) {
        let each = (process.cpu() - before) / u32::try_from(options.requests).unwrap_or(u32::MAX);
        report.put("cpu_us", micros(each));
        report.put("memory", process.memory());
    }
    report.times("first_byte_us", shared.first_bytes.take());
    report.times("took_us", shared.ends.take());
    report.errors(&shared.errors.take());
    Ok(report)
}

impl Loop<'_> {
    async fn all(&self, connections: &mut [Connection]) {
        join_all(connections.iter_mut().map(|connection| self.each(connection))).await;
    }

    async fn each(&self, connection: &mut Connection) {
        while self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            if let Err(error) = self.ask(connection).await {
                self.errors.borrow_mut().push(error.to_string());
                match Connection::open(self.options.target.address).await {
                    Ok(new) => *connection = new,
                    Err(_) => return,
                }
            }
        }
    }

    async fn ask(&self, connection: &mut Connection) -> io::Result<()> {
        connection.ask(&self.request).await?;
        let mut reading = self.judge.reading();
        let (first, end) = connection.finish(|bytes| reading.take(bytes)).await?;
        reading.end()?;
        self.first_bytes.borrow_mut().push(first);
        self.ends.borrow_mut().push(end);
        Ok(())
    }
}
