//! A gateway on a port of its own, in front of a simulated upstream.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use z2api_config::{Config, Flags};
use z2api_observability::{LogGuard, LogSink, MemoryLog};
use z2api_server::{App, Ended, MemorySource, Workers, bind, serve};
use z2api_upstream_sim::{Plan, Sim};
use z2api_wire::event::Dialect;

use crate::clock::pass_long;
use crate::http::{Reply, send};
use crate::listen::listen;
use crate::raw::{Raw, chat_request};
use crate::texts::learn_upstream;
use crate::watch::{self, ANY, Kind};

/// A key that the gateway under test knows.
pub const KEY: &str = "sk-test-0123456789abcdef";

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway. Dropping it aborts it, and fails the test if a secret was found where none may be.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the operator's pages are, if not there.
    pub admin: Option<SocketAddr>,
    /// The upstream behind it.
    pub sim: Sim,
    /// What it logs.
    pub log: MemoryLog,
    dialect: Dialect,
    app: Arc<App>,
    stop: mpsc::UnboundedSender<()>,
    served: JoinHandle<Ended>,
    log_guard: Option<LogGuard>,
    /// It was told to log messages or answers.
    logs_texts: AtomicBool,
}

impl Gateway {
    /// A client with a stream that has begun and that it does not read.
    pub async fn unread_stream(&self) -> Raw {
        self.unread_stream_as("").await
    }

    /// The same, with further lines in the head of its request.
    pub async fn unread_stream_as(&self, lines: &str) -> Raw {
        let before = self.sim.open_streams();
        let mut client = Raw::with_small_window(self.address, 4096).await;
        client.send(chat_request(true, lines)).await;
        assert!(self.sim.until(|sim| sim.open_streams() == before + 1, PATIENCE).await);
        client
    }

    /// So many connections that say nothing, once it has taken all of them and there are no others.
    pub async fn silent(&self, count: usize) -> Vec<Raw> {
        let mut silent = Vec::new();
        for _ in 0..count {
            silent.push(Raw::connect(self.address).await);
        }
        self.until(|gateway| gateway.connections() == count).await;
        silent
    }

    /// Starts one with the defaults, without delays between retries.
    pub async fn start(dialect: Dialect, plan: impl Plan) -> Self {
        Self::with(dialect, plan, &[]).await
    }

    /// Starts one with variables of its own.
    pub async fn with(dialect: Dialect, plan: impl Plan, variables: &[(&str, &str)]) -> Self {
        Self::with_memory(dialect, plan, variables, None).await
    }

    /// Starts one that takes `memory`'s word for how much is used.
    pub async fn with_memory(
        dialect: Dialect,
        plan: impl Plan,
        variables: &[(&str, &str)],
        memory: Option<MemorySource>,
    ) -> Self {
        listen();
        watch::begin();
        let sim = Sim::start(plan).await.expect("a simulated upstream");
        sim.look_on(learn_upstream);
        let config = config(dialect, &sim, variables);
        let (sink, log, guard) = LogSink::memory();
        let listener = bind(config.listen).and_then(|open| open.with_admin(config.admin_listen));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let admin = listener.admin_addr();
        let app = App::build_with(config, sink, None, memory).expect("a gateway");
        let (stop, mut stopped) = mpsc::unbounded_channel();
        let stops = stream::poll_fn(move |cx| stopped.poll_recv(cx));
        let served = tokio::spawn(serve(listener, app.clone(), Workers::here(), stops));
        let logs_texts = AtomicBool::new(logs_texts(variables));
        let log_guard = Some(guard);
        Self { address, admin, sim, log, dialect, app, stop, served, log_guard, logs_texts }
    }

    /// Takes new variables while it runs. Answers those that need a restart.
    pub fn reload(&self, variables: &[(&str, &str)]) -> Vec<&'static str> {
        self.logs_texts.fetch_or(logs_texts(variables), Ordering::Relaxed);
        self.app.reload(config(self.dialect, &self.sim, variables)).expect("good settings")
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let sent = send(self.address, method, path, headers, body);
        tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time")
    }

    /// Asks without a key.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").await
    }

    /// Asks at the operator's address.
    pub async fn get_as_operator(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let sent = send(self.admin.expect("an address"), "GET", path, headers, b"");
        tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time")
    }

    /// Posts a chat request with the key.
    pub async fn post(&self, body: &Value) -> Reply {
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        self.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await
    }

    /// Asks `model` something, with further fields.
    pub async fn chat(&self, model: &str, fields: Value) -> Reply {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "How do tides work?"}]});
        let all = body.as_object_mut().expect("an object");
        all.extend(fields.as_object().expect("an object").clone());
        self.post(&body).await
    }

    /// How many requests hold a slot.
    pub fn in_flight(&self) -> usize {
        self.app.in_flight()
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.app.not_ready().is_none()
    }

    /// How many client connections there are.
    pub fn connections(&self) -> usize {
        self.app.connections()
    }

    /// Waits until `what` holds.
    pub async fn until(&self, what: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
                // Where the clock is paused that takes no time, and the log's thread needs some.
                std::thread::sleep(Duration::from_micros(100));
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("what was waited for");
    }

    /// What comes of a request that is the only one, if a limit of [`LONG`](crate::LONG) is over as soon as the
    /// upstream has been asked and so many of its events have come.
    pub async fn out_of_time<T>(&self, events: u64, asked: impl Future<Output = T>) -> T {
        let time = async {
            self.until(|gateway| gateway.sim.open_streams() == 1).await;
            self.heard(events).await;
            pass_long().await;
        };
        tokio::join!(asked, time).0
    }

    /// Waits until it has had so many of the upstream's events since its start.
    pub async fn heard(&self, events: u64) {
        let sample = format!("z2api_stream_events_total {events}");
        let hearing = async {
            while !self.get("/metrics").await.text().await.lines().any(|line| line == sample) {}
        };
        tokio::time::timeout(PATIENCE, hearing).await.expect("as many events");
    }

    /// Tells it to stop, as SIGTERM does.
    pub fn stop(&self) {
        let _ = self.stop.send(());
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) -> MemoryLog {
        let log = self.log.clone();
        self.ended().await;
        log
    }

    /// Waits until it has stopped, and answers how many requests were cut off.
    pub async fn ended(mut self) -> usize {
        let served = tokio::time::timeout(PATIENCE, &mut self.served).await;
        served.expect("it stops in time").expect("it does not panic").cut
    }

    /// The log lines of a type, once there are `count` of them.
    pub async fn lines(&self, kind: &str, count: usize) -> Vec<Value> {
        let of_kind = || -> Vec<Value> {
            let lines = self.log.lines().into_iter();
            let parsed = lines.map(|line| serde_json::from_str(&line).expect("a line is JSON"));
            parsed.filter(|line: &Value| line["type"] == kind).collect()
        };
        self.until(|_| of_kind().len() >= count).await;
        of_kind()
    }
}

/// Good settings for a gateway in front of `sim`.
fn config(dialect: Dialect, sim: &Sim, variables: &[(&str, &str)]) -> Config {
    let (url, token) = match dialect {
        Dialect::ZaiWeb => (sim.web_url(), ""),
        Dialect::OpenAi => (sim.openai_url(), "upstream-token-0001"),
    };
    let defaults = [
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("DEFAULT_KEY", KEY),
        ("UPSTREAM_URL", url.as_str()),
        ("UPSTREAM_TOKEN", token),
        ("RETRY_DELAY", "0"),
        ("RANDOM_DELAY_MIN", "0"),
        ("RANDOM_DELAY_MAX", "0"),
    ];
    learn(&defaults);
    learn(variables);
    Config::from_lookup(&Flags::default(), &|name| {
        let all = variables.iter().chain(&defaults);
        all.into_iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    })
    .expect("good settings")
}

/// Whether these tell a gateway to log what is said.
fn logs_texts(variables: &[(&str, &str)]) -> bool {
    let names = ["LOG_USER_MESSAGES", "LOG_RESPONSE_CONTENT"];
    variables.iter().any(|(name, _)| names.contains(name))
}

/// Has the secrets among variables looked for.
fn learn(variables: &[(&str, &str)]) {
    for (name, value) in variables {
        match *name {
            "DEFAULT_KEY" | "UPSTREAM_TOKEN" | "ADMIN_KEY" => {
                value.split(',').for_each(|key| watch::keep(Kind::Key, key.trim()));
            }
            "OTEL_EXPORTER_OTLP_HEADERS" => {
                let values = value.split(',').filter_map(|header| header.split_once('='));
                values.for_each(|(_, value)| watch::keep(Kind::Key, value));
            }
            _ => {}
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.served.abort();
        // Writes the last lines.
        drop(self.log_guard.take());
        let without_texts = &[Kind::Key, Kind::Complaint][..];
        let kinds = if *self.logs_texts.get_mut() { without_texts } else { ANY };
        self.log.lines().iter().for_each(|line| watch::check(kinds, "the log", line));
        let leaks = watch::end();
        if std::thread::panicking() {
            leaks.iter().for_each(|leak| eprintln!("a secret got out: {leak}"));
        } else {
            assert!(leaks.is_empty(), "a secret got out: {}", leaks.join("\n"));
        }
    }
}
