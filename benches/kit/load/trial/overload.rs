//! Ten times as many requests as there are slots for: what still gets done, and how soon the rest
//! are refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::trial::Verdict;
use crate::trial::ask::{Question, Told, question};
use crate::trial::stage::{Gateway, Upstream};

const TEXT: &str = "So it is, and no more is said here.";
/// The least share of the capacity that must get done.
const GOOD: f64 = 0.95;
/// The longest that 99 of 100 refusals may take.
const SOON: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Overload {
    /// Slots of the gateway
    #[arg(long, default_value_t = 20)]
    slots: usize,
    /// How many may wait
    #[arg(long, default_value_t = 20)]
    queue: usize,
    /// Milliseconds that the upstream takes for an answer
    #[arg(long, default_value_t = 200)]
    answer_ms: u64,
    /// So many times what the slots can do
    #[arg(long, default_value_t = 10.0)]
    times: f64,
    /// For how long, in seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// What all requests share.
struct Shared {
    address: SocketAddr,
    question: Question,
    idle: RefCell<Vec<Connection>>,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    whole: usize,
    /// From the first byte sent, and from when the request was due.
    refused: Vec<Duration>,
    refused_late: Vec<Duration>,
    took: Vec<Duration>,
    codes: BTreeMap<String, usize>,
    errors: Vec<String>,
}

pub(crate) async fn run(options: &Overload) -> io::Result<Verdict> {
    let upstream = Upstream::start(0)?;
    let (slots, queue) = (options.slots.to_string(), options.queue.to_string());
    let settings =
        [("MAX_CONCURRENT_CONNECTIONS", slots.as_str()), ("CONNECTION_QUEUE_SIZE", queue.as_str())];
    let gateway = Gateway::start(&upstream.url, &settings)?;
    let shared = Rc::new(Shared {
        address: gateway.address,
        question: question(gateway.address, TEXT, json!({"after_ms": options.answer_ms})),
        idle: RefCell::default(),
        found: RefCell::default(),
    });
    let capacity = options.slots as f64 * 1000.0 / options.answer_ms as f64;
    // A second of it first, so that the gateway knows how long its answers take.
    let rate = capacity * options.times;
    let took = LocalSet::new()
        .run_until(async {
            offer(&shared, rate, 1.0).await;
            shared.found.take();
            offer(&shared, rate, options.seconds).await
        })
        .await;
    let found = shared.found.take();
    let goodput = found.whole as f64 / took.as_secs_f64() / capacity;
    let mut verdict = Verdict::default();
    let report = &mut verdict.report;
    report.put("capacity_a_second", capacity);
    report.put("offered_a_second", rate);
    report.put("seconds", took.as_secs_f64());
    report.put("whole", found.whole);
    report.put("refused", json!(found.codes));
    report.put("goodput_share", goodput);
    let late = percentile(&found.refused, 0.99);
    report.times("took_us", found.took);
    report.times("refused_us", found.refused);
    report.times("refused_since_due_us", found.refused_late);
    report.errors(&found.errors);
    verdict.must("at least 95 % of the capacity done", goodput >= GOOD);
    verdict.must("refused within 5 ms (p99)", late <= SOON);
    verdict.must("refused with a reason each", found.errors.is_empty());
    verdict.must("calm after it", gateway.calms_down().await?);
    Ok(verdict)
}

/// Offers so many requests a second. Tells how long it took until the last was answered.
async fn offer(shared: &Rc<Shared>, rate: f64, seconds: f64) -> Duration {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for at in 0..(rate * seconds) as u32 {
        let due = began + Duration::from_secs_f64(f64::from(at) / rate);
        sleep_until(due).await;
        let shared = Rc::clone(shared);
        tasks.spawn_local(async move { shared.ask(due).await });
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    began.elapsed()
}

pub(crate) fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len().saturating_sub(1) as f64 * share).round() as usize;
    times.get(at).copied().unwrap_or_default()
}

impl Shared {
    async fn ask(&self, due: Instant) {
        let told = self.told().await;
        let mut found = self.found.borrow_mut();
        match told {
            Ok((Told::Whole, _)) => {
                found.whole += 1;
                found.took.push(due.elapsed());
            }
            Ok((Told::Refused(status, code), head)) => {
                *found.codes.entry(format!("{status} {code}")).or_default() += 1;
                found.refused.push(head);
                found.refused_late.push(due.elapsed());
            }
            Ok((Told::Failed(code), _)) => found.errors.push(code),
            Err(error) => found.errors.push(error.to_string()),
        }
    }

    async fn told(&self) -> io::Result<(Told, Duration)> {
        let kept = self.idle.borrow_mut().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let told = self.question.on(&mut connection).await?;
        if !connection.closes {
            self.idle.borrow_mut().push(connection);
        }
        Ok(told)
    }
}
