//! Clients that hang up at random moments: how soon the upstream is let go, and whether each slot
//! comes back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};
use z2api_upstream_sim::text::words;
use z2api_upstream_sim::{Outcome, Plan, Prompted, Recorded, Script, Sim};

use crate::connection::Connection;
use crate::trial::Verdict;
use crate::trial::ask::{Told, question, whole_question};
use crate::trial::overload::percentile;
use crate::trial::stage::Gateway;

/// The longest until the upstream is let go, for 99 of 100 hang-ups.
const SOON: Duration = Duration::from_millis(250);
/// An upstream that is not let go by then never is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of text, four characters an event.
const TEXT: usize = 400;

#[derive(Debug, clap::Args)]
pub(crate) struct Hangups {
    /// How many
    #[arg(long, default_value_t = 1000)]
    hangups: usize,
    /// How many clients at once; the gateway has as many slots
    #[arg(long, default_value_t = 40)]
    clients: usize,
    /// Milliseconds between two events of an answer; it has about a hundred
    #[arg(long, default_value_t = 10)]
    pace_ms: u64,
}

/// Under which number the upstream has which request.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<HashMap<u64, usize>>>);

/// What all clients share.
struct Shared {
    address: SocketAddr,
    sim: Sim,
    marks: Marks,
    text: String,
    pace_ms: u64,
    next: Cell<u64>,
    last: u64,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    /// How long after the hang-up the upstream was let go.
    let_go: Vec<Duration>,
    over_before: usize,
    never_asked: usize,
    left_open: usize,
    errors: Vec<String>,
}

pub(crate) async fn run(options: &Hangups) -> io::Result<Verdict> {
    let marks = Marks::default();
    let sim = Sim::start(marks.clone()).await?;
    let slots = options.clients.to_string();
    let settings = [("MAX_CONCURRENT_CONNECTIONS", slots.as_str())];
    let gateway = Gateway::start(&sim.openai_url(), &settings)?;
    let shared = Rc::new(Shared {
        address: gateway.address,
        sim,
        marks,
        text: words(TEXT, 1),
        pace_ms: options.pace_ms,
        next: Cell::default(),
        last: options.hangups as u64,
        found: RefCell::default(),
    });
    let began = Instant::now();
    LocalSet::new().run_until(shared.all(options.clients)).await;
    let mut verdict = Verdict::default();
    verdict.report.put("hangups", options.hangups);
    verdict.report.put("seconds", began.elapsed().as_secs_f64());
    shared.tell(&mut verdict);
    verdict.must("each slot given back", gateway.calms_down().await?);
    let good = question(gateway.address, "Well.", json!({"after_ms": 300}));
    let told = join_all((0..options.clients).map(|_| good.once(gateway.address))).await;
    let whole = told.iter().filter(|told| matches!(told, Ok(Told::Whole))).count();
    verdict.report.put("whole_at_once_after_it", whole);
    verdict.must("all slots of use after it", whole == options.clients);
    let tokens = &gateway.status().await?["tokens"][0]["in_flight"];
    verdict.must("nothing counted at the token", tokens == 0);
    Ok(verdict)
}

impl Plan for Marks {
    fn answer(&self, request: &Recorded) -> Script {
        let prompt = request.json()["messages"][0]["content"].take();
        let wish: Option<Value> = prompt.as_str().and_then(|wish| serde_json::from_str(wish).ok());
        if let Some(mark) = wish.and_then(|wish| wish["mark"].as_u64()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, request.number);
        }
        Prompted.answer(request)
    }
}

impl Marks {
    fn number(&self, mark: u64) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).copied()
    }
}

impl Shared {
    async fn all(self: &Rc<Self>, clients: usize) {
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let shared = Rc::clone(self);
            tasks.spawn_local(async move {
                let mut watchers = JoinSet::new();
                while shared.next.get() < shared.last {
                    let mark = shared.next.replace(shared.next.get() + 1);
                    if let Err(error) = shared.hang_up(mark).await {
                        shared.found.borrow_mut().errors.push(error.to_string());
                    }
                    let (shared, at) = (Rc::clone(&shared), Instant::now());
                    watchers.spawn_local(async move { shared.watch(mark, at).await });
                }
                watchers.join_all().await;
            });
        }
        tasks.join_all().await;
    }

    /// Asks, reads for some random time, and hangs up. Every fourth answer is not streamed.
    async fn hang_up(&self, mark: u64) -> io::Result<()> {
        let after = rand::random_range(0..=100);
        let wish = json!({"mark": mark, "pace_ms": self.pace_ms, "after_ms": after});
        let ask = if mark.is_multiple_of(4) { whole_question } else { question };
        let question = ask(self.address, &self.text, wish);
        let mut connection = Connection::open(self.address).await?;
        let most = 100 + self.pace_ms * TEXT as u64 / 4;
        let moment = Duration::from_millis(rand::random_range(0..=most));
        match timeout(moment, question.on(&mut connection)).await {
            Ok(Ok((Told::Whole, _))) | Err(_) => Ok(()),
            Ok(Ok((told, _))) => Err(io::Error::other(format!("{told:?}"))),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Waits until the upstream is let go.
    async fn watch(&self, mark: u64, at: Instant) {
        let outcome = |sim: &Sim| self.marks.number(mark).and_then(|number| sim.outcome(number));
        let ended = |sim: &Sim| outcome(sim).is_some_and(|outcome| outcome != Outcome::Running);
        self.sim.until(ended, PATIENCE).await;
        let took = at.elapsed();
        let mut found = self.found.borrow_mut();
        match outcome(&self.sim) {
            Some(Outcome::PeerClosed) => found.let_go.push(took),
            Some(Outcome::Whole) => found.over_before += 1,
            Some(Outcome::Running | Outcome::CutByScript) => found.left_open += 1,
            None => found.never_asked += 1,
        }
    }

    fn tell(&self, verdict: &mut Verdict) {
        let found = self.found.take();
        let late = percentile(&found.let_go, 0.99);
        verdict.report.put("upstream_let_go", found.let_go.len());
        verdict.report.put("answer_over_before", found.over_before);
        verdict.report.put("upstream_never_asked", found.never_asked);
        verdict.report.put("upstream_left_open", found.left_open);
        verdict.report.times("let_go_us", found.let_go);
        verdict.report.errors(&found.errors);
        verdict.must("every upstream let go", found.left_open == 0);
        verdict.must("let go within 250 ms (p99)", late <= SOON);
        verdict.must("free of errors", found.errors.is_empty());
    }
}
