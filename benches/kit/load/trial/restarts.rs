//! Restarts behind a socket that is handed over, as systemd does it, while clients go on asking.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::Connection;
use crate::trial::Verdict;
use crate::trial::ask::{Question, Told, question};
use crate::trial::stage::{Gateway, Upstream};

const TEXT: &str = "So it is, and no more is said here.";
/// The longest that any request may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Restarts {
    /// How many
    #[arg(long, default_value_t = 100)]
    restarts: usize,
    /// How many clients ask at once on a new connection for each request; half as many more keep
    /// theirs
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Milliseconds between two events of an answer; it has ten
    #[arg(long, default_value_t = 10)]
    pace_ms: u64,
    /// Start the new one while the old one finishes; otherwise after it, as systemd does
    #[arg(long)]
    overlap: bool,
}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    question: Question,
    over: Cell<bool>,
    whole: Cell<usize>,
    /// Kept connections that the gateway had closed before a request on them.
    stale: Cell<usize>,
    /// Those that it closed while the request was on its way.
    crossed: Cell<usize>,
    took: RefCell<Vec<Duration>>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Restarts) -> io::Result<Verdict> {
    let upstream = Upstream::start(0)?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let wish = json!({"pace_ms": options.pace_ms});
    let shared = Rc::new(Shared {
        address,
        question: question(address, TEXT, wish),
        over: Cell::default(),
        whole: Cell::default(),
        stale: Cell::default(),
        crossed: Cell::default(),
        took: RefCell::default(),
        errors: RefCell::default(),
    });
    let mut verdict = Verdict::default();
    let start = || Gateway::on(OwnedFd::from(socket.try_clone()?), &upstream.url, &[]);
    let began = Instant::now();
    let (restarts, cut) = LocalSet::new()
        .run_until(async {
            let mut gateway = start()?;
            let clients = shared.clients(options.clients);
            let mut cut = 0;
            for _ in 0..options.restarts {
                sleep(Duration::from_millis(100)).await;
                gateway.program.tell_to_stop()?;
                let next = if options.overlap { Some(start()?) } else { None };
                cut += usize::from(!gateway.program.stopped().await?.success());
                gateway = next.map_or_else(&start, Ok)?;
            }
            shared.over.set(true);
            clients.join_all().await;
            io::Result::Ok((options.restarts, cut))
        })
        .await?;
    let report = &mut verdict.report;
    report.put("restarts", restarts);
    report.put("seconds", began.elapsed().as_secs_f64());
    report.put("whole", shared.whole.get());
    report.put("kept_connections_closed_between_requests", shared.stale.get());
    report.put("kept_connections_closed_as_asked", shared.crossed.get());
    report.put("exits_with_streams_cut", cut);
    report.times("took_us", shared.took.take());
    report.errors(&shared.errors.borrow());
    verdict.must("every answer whole, no refusal", shared.errors.borrow().is_empty());
    verdict.must("every exit clean", cut == 0);
    verdict.must("under load", shared.whole.get() > options.restarts);
    Ok(verdict)
}

impl Shared {
    fn clients(self: &Rc<Self>, count: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for at in 0..count + count / 2 {
            let shared = Rc::clone(self);
            clients.spawn_local(async move { shared.client(at >= count).await });
        }
        clients
    }

    async fn client(&self, keeps: bool) {
        let mut kept = None;
        while !self.over.get() {
            let began = Instant::now();
            match timeout(PATIENCE, self.ask(&mut kept)).await {
                Ok(Ok(Told::Whole)) => {
                    self.whole.set(self.whole.get() + 1);
                    self.took.borrow_mut().push(began.elapsed());
                }
                Ok(Ok(told)) => self.errors.borrow_mut().push(format!("{told:?}")),
                Ok(Err(error)) => self.errors.borrow_mut().push(error.to_string()),
                Err(_) => self.errors.borrow_mut().push("an answer that never ends".into()),
            }
            kept = kept.filter(|connection: &Connection| keeps && !connection.closes);
        }
    }

    /// Asks on the kept connection, or where the gateway has closed it meanwhile on a new one.
    async fn ask(&self, kept: &mut Option<Connection>) -> io::Result<Told> {
        if let Some(mut connection) = kept.take() {
            if connection.is_closed() {
                self.stale.set(self.stale.get() + 1);
            } else {
                let told = self.question.on(&mut connection).await;
                // Without a byte of an answer, a client asks again: both sides spoke at once.
                if told.is_ok() || connection.answered {
                    *kept = Some(connection);
                    return told.map(|(told, _)| told);
                }
                self.crossed.set(self.crossed.get() + 1);
            }
        }
        let connection = kept.insert(Connection::open(self.address).await?);
        Ok(self.question.on(connection).await?.0)
    }
}
