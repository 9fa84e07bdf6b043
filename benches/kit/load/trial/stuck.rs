//! A thousand clients that do not read and five thousand that say nothing or drip, while good
//! requests go on.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};
use z2api_upstream_sim::text::{Answer, words};
use z2api_upstream_sim::{Plan, Prompted, Recorded, Script, Sim, plan_fn};

use crate::trial::Verdict;
use crate::trial::ask::{Question, Told, question};
use crate::trial::stage::Gateway;

const TEXT: &str = "So it is, and no more is said here.";
/// What a reader that is stuck asks for: more than all buffers on the way hold.
const LONG: usize = 8 << 20;
const STUCK: &str = "Say much.";
const HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: drip\r\nX-Long: ";

#[derive(Debug, clap::Args)]
pub(crate) struct Stuck {
    /// Clients that ask for a long answer and do not read it
    #[arg(long, default_value_t = 1000)]
    stuck: usize,
    /// Connections that say nothing
    #[arg(long, default_value_t = 2500)]
    silent: usize,
    /// Connections that send a byte of a head each second
    #[arg(long, default_value_t = 2500)]
    dripping: usize,
    /// Good requests a second
    #[arg(long, default_value_t = 100.0)]
    per_second: f64,
    /// For how long, in seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// What all clients share.
struct Shared {
    address: SocketAddr,
    good: Question,
    stuck: Question,
    over: Cell<bool>,
    /// Bad connections that are open, and how often the gateway closed one.
    open: Cell<usize>,
    closed: Cell<usize>,
    took: RefCell<Vec<Duration>>,
    errors: RefCell<Vec<String>>,
}

pub(crate) async fn run(options: &Stuck) -> io::Result<Verdict> {
    let sim = Sim::start(plan()).await?;
    let slots = (options.stuck + 200).to_string();
    let settings = [("MAX_CONCURRENT_CONNECTIONS", slots.as_str())];
    let gateway = Gateway::start(&sim.openai_url(), &settings)?;
    let address = gateway.address;
    let shared = Rc::new(Shared {
        address,
        good: question(address, TEXT, json!({})),
        stuck: question(address, STUCK, json!({"mark": STUCK})),
        over: Cell::default(),
        open: Cell::default(),
        closed: Cell::default(),
        took: RefCell::default(),
        errors: RefCell::default(),
    });
    let mut verdict = Verdict::default();
    LocalSet::new().run_until(all(options, &gateway, &shared, &mut verdict)).await?;
    Ok(verdict)
}

/// A long answer to whoever does not read it, and what the prompt says to others.
fn plan() -> impl Plan {
    let text = words(LONG, 1);
    let events = Answer { thinking: String::new(), text, piece: 4000, usage: (1, 1) };
    let long = Script::events(events.openai_events("simulated"));
    plan_fn(move |request: &Recorded| {
        let asked = String::from_utf8_lossy(&request.body);
        if asked.contains(STUCK) { long.clone() } else { Prompted.answer(request) }
    })
}

async fn all(
    options: &Stuck,
    gateway: &Gateway,
    shared: &Rc<Shared>,
    verdict: &mut Verdict,
) -> io::Result<()> {
    let process = gateway.process();
    shared.ask_on(options.per_second, options.seconds / 2.0).await;
    let alone = shared.took.take();
    let before = process.memory();
    let mut bad = shared.bad(options).await;
    let (cpu, from) = (process.cpu(), Instant::now());
    shared.ask_on(options.per_second, options.seconds).await;
    let report = &mut verdict.report;
    let status = gateway.status().await?;
    let in_flight = status["current_connections"].as_u64().unwrap_or_default();
    report.put("stuck_in_flight", in_flight);
    report.put("bad_connections", shared.open.get());
    report.put("closed_and_opened_again", shared.closed.get());
    report.put("cpu_share", (process.cpu() - cpu).as_secs_f64() / from.elapsed().as_secs_f64());
    report.put("memory_before", before);
    report.put("memory", process.memory());
    report.put("good", shared.took.borrow().len());
    report.times("good_alone_us", alone);
    report.times("good_us", shared.took.take());
    report.errors(&shared.errors.borrow());
    verdict.must("every good answer whole", shared.errors.borrow().is_empty());
    verdict.must("all readers stuck", in_flight >= options.stuck as u64);
    let expected = (options.stuck + options.silent + options.dripping) * 9 / 10;
    verdict.must("under the bad ones' load", shared.open.get() >= expected);
    // The stuck ones are still there: it is the gateway that lets go of them.
    let (from, calm) = (Instant::now(), shared_calm(gateway).await?);
    verdict.report.put("stuck_let_go_after", from.elapsed().as_secs_f64());
    verdict.must("rid of stuck readers by itself", calm);
    shared.over.set(true);
    bad.shutdown().await;
    Ok(())
}

/// Twice the gateway's patience with a client that does not read.
async fn shared_calm(gateway: &Gateway) -> io::Result<bool> {
    Ok(gateway.calms_down().await? || gateway.calms_down().await?)
}

impl Shared {
    /// Good requests, each due at its time, on new connections.
    async fn ask_on(self: &Rc<Self>, per_second: f64, seconds: f64) {
        let (began, mut tasks) = (Instant::now(), JoinSet::new());
        for at in 0..(per_second * seconds) as u32 {
            let due = began + Duration::from_secs_f64(f64::from(at) / per_second);
            sleep_until(due).await;
            let shared = Rc::clone(self);
            tasks.spawn_local(async move {
                match shared.good.once(shared.address).await {
                    Ok(Told::Whole) => shared.took.borrow_mut().push(due.elapsed()),
                    Ok(told) => shared.errors.borrow_mut().push(format!("{told:?}")),
                    Err(error) => shared.errors.borrow_mut().push(error.to_string()),
                }
            });
        }
        tasks.join_all().await;
    }

    /// All bad clients, once they are there.
    async fn bad(self: &Rc<Self>, options: &Stuck) -> JoinSet<()> {
        let mut bad = JoinSet::new();
        for at in 0..options.stuck.max(options.silent).max(options.dripping) {
            if at < options.stuck {
                let shared = Rc::clone(self);
                bad.spawn_local(async move { shared.be_stuck().await });
            }
            for (drips, count) in [(false, options.silent), (true, options.dripping)] {
                if at < count {
                    let shared = Rc::clone(self);
                    bad.spawn_local(async move { shared.be_silent(drips).await });
                }
            }
            if at.is_multiple_of(10) {
                sleep(Duration::from_millis(5)).await;
            }
        }
        sleep(Duration::from_secs(1)).await;
        bad
    }

    /// Asks for much, and does not read.
    async fn be_stuck(&self) {
        let asked = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            let mut stream = socket.connect(self.address).await?;
            stream.write_all(&self.stuck.request).await?;
            io::Result::Ok(stream)
        };
        match asked.await {
            Ok(_held) => {
                self.open.set(self.open.get() + 1);
                std::future::pending().await
            }
            Err(error) => self.errors.borrow_mut().push(format!("a stuck reader: {error}")),
        }
    }

    /// Says nothing, or a byte each second; comes again when the gateway has closed it.
    async fn be_silent(&self, drips: bool) {
        while !self.over.get() {
            let Ok(mut stream) = TcpStream::connect(self.address).await else { return };
            self.open.set(self.open.get() + 1);
            let mut answer = Vec::new();
            if drips {
                let _closed = drip(&mut stream).await;
            }
            // What it is told does not matter here.
            let _told = stream.read_to_end(&mut answer).await;
            self.open.set(self.open.get() - 1);
            self.closed.set(self.closed.get() + 1);
        }
    }
}

/// Sends a byte of a head each second, until the other side closes.
async fn drip(stream: &mut TcpStream) -> io::Result<()> {
    for byte in HEAD.iter().chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte]).await?;
        let closed = tokio::time::timeout(Duration::from_secs(1), stream.readable()).await;
        if closed.is_ok() {
            break;
        }
    }
    Ok(())
}
