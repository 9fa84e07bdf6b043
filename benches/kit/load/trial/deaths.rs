//! An upstream that dies under its streams, by resets at random bytes and by being killed: each
//! client has its answer whole, or is told, and none waits for ever.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};
use z2api_upstream_sim::text::words;
use z2api_upstream_sim::{Plan, Prompted, Recorded, Sim, plan_fn};

use crate::trial::Verdict;
use crate::trial::ask::{Question, Told, question};
use crate::trial::stage::{Gateway, Upstream};

/// Longer than that a client is left hanging.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of text, four characters an event; on the wire about 4,000 bytes.
const TEXT: usize = 120;
const ON_THE_WIRE: usize = 4000;
/// Each failure is to be told.
const NO_RETRIES: [(&str, &str); 1] = [("MAX_RETRIES", "0")];

#[derive(Debug, clap::Args)]
pub(crate) struct Deaths {
    /// How many streams are reset, each at a random byte
    #[arg(long, default_value_t = 1000)]
    resets: usize,
    /// How often the upstream's process is killed
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// How many streams at once
    #[arg(long, default_value_t = 50)]
    clients: usize,
}

/// How the clients' answers ended.
#[derive(Default)]
struct Ends {
    told: RefCell<BTreeMap<String, usize>>,
    hung: Cell<usize>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Deaths) -> io::Result<Verdict> {
    let (resets, kills) = (Rc::new(Ends::default()), Rc::new(Ends::default()));
    let mut verdict = Verdict::default();
    let began = Instant::now();
    let local = LocalSet::new();
    local.run_until(reset_all(options, &resets, &mut verdict)).await?;
    local.run_until(kill_all(options, &kills, &mut verdict)).await?;
    verdict.report.put("seconds", began.elapsed().as_secs_f64());
    for (name, ends) in [("by_reset", resets), ("by_kill", kills)] {
        verdict.report.put(name, json!(*ends.told.borrow()));
        verdict.report.put(&format!("{name}_hung"), ends.hung.get());
        let errors = ends.errors.take();
        verdict.must(format!("each whole or told ({name})"), errors.is_empty());
        verdict.must(format!("each ended ({name})"), ends.hung.get() == 0);
        verdict.report.put(&format!("{name}_errors"), errors);
    }
    Ok(verdict)
}

/// Every answer is reset after some random bytes; some after their last.
async fn reset_all(options: &Deaths, ends: &Rc<Ends>, verdict: &mut Verdict) -> io::Result<()> {
    let sim = Sim::start(plan_fn(|request: &Recorded| {
        let bytes = rand::random_range(10..=400);
        let script = Prompted.answer(request).pieces_of(bytes);
        script.reset_after(rand::random_range(0..=ON_THE_WIRE * 11 / 10 / bytes))
    }))
    .await?;
    let gateway = Gateway::start(&sim.openai_url(), &NO_RETRIES)?;
    let question = Rc::new(question(gateway.address, &words(TEXT, 1), json!({"pace_ms": 2})));
    let (left, mut clients) = (Rc::new(Cell::new(options.resets)), JoinSet::new());
    for _ in 0..options.clients {
        let (left, ends, question) = (Rc::clone(&left), Rc::clone(ends), Rc::clone(&question));
        let address = gateway.address;
        clients.spawn_local(async move {
            while left.get() > 0 {
                left.set(left.get() - 1);
                ends.note(timeout(PATIENCE, question.once(address)).await);
            }
        });
    }
    clients.join_all().await;
    verdict.report.put("resets", sim.chat_requests());
    verdict.must("calm after resets", gateway.calms_down().await?);
    Ok(())
}

/// The process is killed under all streams, and started again.
async fn kill_all(options: &Deaths, ends: &Rc<Ends>, verdict: &mut Verdict) -> io::Result<()> {
    let mut upstream = Upstream::start(0)?;
    let port = upstream.port()?;
    let gateway = Gateway::start(&upstream.url, &NO_RETRIES)?;
    let address = gateway.address;
    let slow = Rc::new(question(address, &words(TEXT, 1), json!({"pace_ms": 50})));
    let quick = question(address, "Well.", json!({}));
    let mut recovered = 0;
    for _ in 0..options.kills {
        let mut clients = JoinSet::new();
        for _ in 0..options.clients {
            let (ends, slow) = (Rc::clone(ends), Rc::clone(&slow));
            clients.spawn_local(async move {
                ends.note(timeout(PATIENCE, slow.once(address)).await);
            });
        }
        sleep(Duration::from_millis(rand::random_range(50..=700))).await;
        upstream.kill()?;
        clients.join_all().await;
        upstream = Upstream::start(port)?;
        recovered += usize::from(is_well_again(&quick, &gateway).await);
    }
    verdict.report.put("kills", options.kills);
    verdict.must("well again after each kill", recovered == options.kills);
    verdict.must("calm after kills", gateway.calms_down().await?);
    Ok(())
}

/// Asks until the answer is whole: the gateway may leave a dead upstream alone for some time.
async fn is_well_again(question: &Question, gateway: &Gateway) -> bool {
    let late = Instant::now() + PATIENCE;
    while Instant::now() < late {
        if let Ok(Told::Whole) = question.once(gateway.address).await {
            return true;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}

impl Ends {
    fn note(&self, told: Result<io::Result<Told>, tokio::time::error::Elapsed>) {
        let how = match told {
            Ok(Ok(Told::Whole)) => "whole".to_owned(),
            Ok(Ok(Told::Failed(code))) => format!("error event {code}"),
            Ok(Ok(Told::Refused(status, code))) => format!("status {status} {code}"),
            Ok(Err(error)) => return self.errors.borrow_mut().push(error.to_string()),
            Err(_) => return self.hung.set(self.hung.get() + 1),
        };
        *self.told.borrow_mut().entry(how).or_default() += 1;
    }
}
