//! Very many requests, a tenth of them with faults: memory, descriptors, threads and tasks come back
//! to where they were.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::Connection;
use crate::trial::Verdict;
use crate::trial::ask::{Question, Told, question};
use crate::trial::stage::{Gateway, Upstream};

const TEXT: &str = "So it is, \"and\" no more 山川 🙂 is said.";
/// Longer than that an answer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Memory that may be left over, in MiB: the allocator's, not one request's.
const LEFT_OVER: f64 = 8.0;
/// The faults, each as often as the others: an error event, ends of the connection at different
/// places, a refusal, and a client that hangs up.
const FAULTS: [&str; 6] = [
    r#"{"fail_after": 3}"#,
    r#"{"cut_after": 0}"#,
    r#"{"cut_after": 4}"#,
    r#"{"refuse": {"status": 500, "message": "no"}}"#,
    r#"{"refuse": {"status": 400, "code": "1210", "message": "no"}}"#,
    r#"{"pace_ms": 20}"#,
];
const HANGS_UP: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// How many requests
    #[arg(long, default_value_t = 1_000_000)]
    requests: usize,
    /// No longer than that, in seconds; the count is told
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// How many clients at once
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Requests before the state that all must come back to
    #[arg(long, default_value_t = 20_000)]
    warm_up: usize,
    /// Of a hundred requests so many have faults
    #[arg(long, default_value_t = 10)]
    faults: u32,
}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    good: Question,
    faulty: Vec<Question>,
    share: u32,
    left: Cell<usize>,
    until: Cell<Instant>,
    told: RefCell<BTreeMap<String, usize>>,
    errors: RefCell<Vec<String>>,
}

/// What the gateway's process has.
#[derive(Clone, Copy)]
struct Has {
    memory: u64,
    descriptors: usize,
    threads: usize,
    connections: u64,
    tasks: u64,
}

pub(crate) async fn run(options: &Soak) -> io::Result<Verdict> {
    let upstream = Upstream::start(0)?;
    let gateway = Gateway::start(&upstream.url, &[("MAX_RETRIES", "0")])?;
    let ask = |wish: Value| question(gateway.address, TEXT, wish);
    let faulty = FAULTS.iter().map(|wish| serde_json::from_str(wish).map(ask));
    let shared = Rc::new(Shared {
        address: gateway.address,
        good: ask(json!({})),
        faulty: faulty.collect::<Result<_, _>>()?,
        share: options.faults,
        left: Cell::default(),
        until: Cell::new(Instant::now() + Duration::from_secs(options.seconds)),
        told: RefCell::default(),
        errors: RefCell::default(),
    });
    let local = LocalSet::new();
    local.run_until(shared.all(options.clients, options.warm_up)).await;
    let before = Has::of(&gateway).await?;
    shared.told.take();
    let began = Instant::now();
    shared.until.set(began + Duration::from_secs(options.seconds));
    local.run_until(shared.all(options.clients, options.requests)).await;
    let took = began.elapsed().as_secs_f64();
    let calm = gateway.calms_down().await?;
    let after = Has::of(&gateway).await?;
    let done = options.requests - shared.left.get();
    let mut verdict = Verdict::default();
    verdict.report.put("requests", done);
    verdict.report.put("seconds", took);
    verdict.report.put("a_second", done as f64 / took);
    verdict.report.put("ends", json!(*shared.told.borrow()));
    verdict.report.put("before", before.told());
    verdict.report.put("after", after.told());
    verdict.report.errors(&shared.errors.borrow());
    verdict.must("each whole or told", shared.errors.borrow().is_empty());
    verdict.must("calm after it", calm);
    let left_over = after.memory.saturating_sub(before.memory) as f64 / f64::from(1 << 20);
    verdict.must(format!("within {LEFT_OVER} MiB of before"), left_over <= LEFT_OVER);
    // Connections kept to the upstream differ by chance.
    let kept = before.descriptors.abs_diff(after.descriptors) <= options.clients;
    verdict.must("back at its descriptors", kept);
    verdict.must("back at its threads", after.threads == before.threads);
    // On each thread there is one while connections to the upstream are kept.
    let tasks = before.tasks.abs_diff(after.tasks) <= before.threads as u64 && after.tasks > 0;
    verdict.must("back at its tasks", tasks);
    verdict.must("back at its connections", after.connections == before.connections);
    Ok(verdict)
}

impl Has {
    /// Once it is quiet.
    async fn of(gateway: &Gateway) -> io::Result<Self> {
        sleep(Duration::from_secs(3)).await;
        let process = gateway.process();
        let status = gateway.status().await?;
        Ok(Self {
            memory: process.memory(),
            descriptors: process.descriptors(),
            threads: process.threads(),
            connections: status["client_connections"].as_u64().unwrap_or_default(),
            tasks: status["tasks"].as_u64().unwrap_or_default(),
        })
    }

    fn told(self) -> Value {
        json!({
            "memory": self.memory,
            "descriptors": self.descriptors,
            "threads": self.threads,
            "client_connections": self.connections,
            "tasks": self.tasks,
        })
    }
}

impl Shared {
    async fn all(self: &Rc<Self>, clients: usize, requests: usize) {
        self.left.set(requests);
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let shared = Rc::clone(self);
            tasks.spawn_local(async move { shared.client().await });
        }
        tasks.join_all().await;
    }

    async fn client(&self) {
        let mut kept = None;
        while self.left.get() > 0 && Instant::now() < self.until.get() {
            self.left.set(self.left.get() - 1);
            let fault = rand::random_ratio(self.share, 100)
                .then(|| rand::random_range(0..self.faulty.len()));
            let how = match fault {
                Some(HANGS_UP) => self.hang_up().await.map(|()| "hung up".to_owned()),
                Some(fault) => self.ask(&self.faulty[fault], &mut kept).await,
                None => self.ask(&self.good, &mut kept).await,
            };
            match how {
                Ok(how) => *self.told.borrow_mut().entry(how).or_default() += 1,
                Err(error) => self.errors.borrow_mut().push(error.to_string()),
            }
        }
    }

    async fn ask(&self, what: &Question, kept: &mut Option<Connection>) -> io::Result<String> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let (told, _) = timeout(PATIENCE, what.on(&mut connection)).await??;
        if !connection.closes {
            *kept = Some(connection);
        }
        Ok(match told {
            Told::Whole => "whole".to_owned(),
            Told::Refused(status, code) => format!("status {status} {code}"),
            Told::Failed(code) => format!("error event {code}"),
        })
    }

    /// Asks for a slow answer and goes within it.
    async fn hang_up(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let moment = Duration::from_millis(rand::random_range(0..60));
        match timeout(moment, self.faulty[HANGS_UP].on(&mut connection)).await {
            Ok(told) => told.map(|_| ()),
            Err(_) => Ok(()),
        }
    }
}
