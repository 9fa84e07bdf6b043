//! The record of a request: opened with it, closed once, however it ends.

mod end;
mod parts;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::id::RequestId;
use crate::metrics::{Metrics, Owner};
use crate::sink::LogSink;
use crate::spans::Tracer;
use crate::tries::{Came, Traced, Tries};
use parts::Key;

pub use end::HUNG_UP;
pub(crate) use parts::Call;
pub use parts::{Asked, Failure, Lost, Said};

/// A client may call a method what it likes; the longest that is registered has 17 characters.
const MAX_METHOD: usize = 32;

/// The kind of failure that a gateway is which is not ready.
pub(crate) const NOT_READY: &str = "not_ready";

/// Of so many parts of a stream, one has its time taken.
const TIMED: u64 = 16;

/// The record of one request. It is moved to whatever ends the request, and dropping it writes
/// the one response line: as whole, as failed, or otherwise as a client that is lost: that hung up,
/// if nothing else was said.
#[derive(Debug)]
pub struct RequestRecord {
    log: Option<LogSink>,
    /// If it goes well it has no lines.
    quiet: bool,
    counters: Arc<Counters>,
    id: RequestId,
    method: String,
    endpoint: String,
    client_ip: IpAddr,
    began: Instant,
    counted: bool,
    /// Whose it is, once that is known.
    key: Option<Key>,
    user_agent: String,
    asked: Option<Asked>,
    route: &'static str,
    model: Option<String>,
    manner: Option<(&'static str, &'static str)>,
    tries: Tries,
    usage: Option<(u64, u64)>,
    usage_parts: (Option<u64>, Option<u64>),
    finish_reason: Option<&'static str>,
    first_byte: Option<Duration>,
    /// When it came, and how long the client had been waited for by then.
    upstream_end: Option<(Instant, Duration)>,
    client_wait: Duration,
    bytes: u64,
    frames: u64,
    events: u64,
    status: Option<u16>,
    failed: Option<Failure>,
    lost: Lost,
    answer: Option<Said>,
    whole: bool,
}

impl RequestRecord {
    /// Opens a record. Without a log it only counts. Boxed, for it is large and goes from hand to
    /// hand.
    pub fn open(
        log: Option<LogSink>,
        counters: Arc<Counters>,
        id: RequestId,
        method: &str,
        endpoint: &str,
        client_ip: IpAddr,
    ) -> Box<Self> {
        Box::new(Self {
            log,
            quiet: false,
            counters,
            id,
            method: method.chars().take(MAX_METHOD).collect(),
            endpoint: endpoint.to_owned(),
            client_ip,
            began: Instant::now(),
            counted: false,
            key: None,
            user_agent: String::new(),
            asked: None,
            route: "unknown",
            model: None,
            manner: None,
            tries: Tries::default(),
            usage: None,
            usage_parts: (None, None),
            finish_reason: None,
            first_byte: None,
            upstream_end: None,
            client_wait: Duration::ZERO,
            bytes: 0,
            frames: 0,
            events: 0,
            status: None,
            failed: None,
            lost: Lost::HungUp,
            answer: None,
            whole: false,
        })
    }

    /// The request came so, and is traced, under the span that its `traceparent` and `tracestate`
    /// name, if they do.
    pub fn trace(&mut self, tracer: Tracer, came: Came, parent: Option<&str>, state: Option<&str>) {
        let place = tracer.place(parent, state);
        self.tries.lock().traced = Some(Traced { tracer, came, place });
    }

    /// The metrics that the request goes into.
    pub fn metrics(&self) -> &Metrics {
        self.counters.metrics()
    }

    /// The request's id.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// This is a chat request: it goes into the counters.
    pub fn counted(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.counters.begun();
        }
    }

    /// It asks how the gateway is, as others do all the time: it has lines only if it fails.
    pub fn quiet(&mut self) {
        self.quiet = true;
    }

    /// What the client calls itself.
    pub fn agent(&mut self, user_agent: String) {
        self.user_agent = user_agent;
    }

    /// Whose key it is, once it is known to be good: the masked key and its name.
    pub fn key(&mut self, masked: &str, name: Option<&str>) {
        self.key = Some(Key { masked: masked.to_owned(), name: name.map(str::to_owned) });
    }

    /// The request has been understood. Writes the request line.
    pub fn asked(&mut self, asked: Asked) {
        self.request_line(Some(&asked));
        self.asked = Some(asked);
    }

    /// Which route it takes, by a name from a fixed list.
    pub fn route(&mut self, route: &'static str) {
        self.route = route;
    }

    /// Which model it asks, by the name in the table, which is no client's invention.
    pub fn model(&mut self, name: &str) {
        self.model = Some(name.to_owned());
    }

    /// Which dialect and thinking mode it takes.
    pub fn manner(&mut self, dialect: &'static str, think_mode: &'static str) {
        self.manner = Some((dialect, think_mode));
    }

    /// Where to note each time that the upstream is asked, and each wait.
    pub fn tries(&self) -> Tries {
        self.tries.clone()
    }

    /// What the upstream counted, in tokens.
    pub fn usage(&mut self, prompt: u64, completion: u64) {
        self.usage = Some((prompt, completion));
    }

    /// Which part of the prompt's tokens the upstream had in its cache, and which part of the answer's
    /// was thinking; as far as it says so.
    pub fn usage_parts(&mut self, cached: Option<u64>, reasoning: Option<u64>) {
        self.usage_parts = (cached, reasoning);
    }

    /// Why the model stopped.
    pub fn finish_reason(&mut self, reason: &'static str) {
        self.finish_reason = Some(reason);
    }

    /// The first byte of the answer's body goes out. Only the first call counts.
    pub fn first_byte(&mut self) {
        self.first_byte.get_or_insert_with(|| self.began.elapsed());
    }

    /// The upstream's answer has come to its end.
    pub fn upstream_ended(&mut self) {
        self.upstream_end = Some((Instant::now(), self.client_wait));
    }

    /// Since then the client was not ready for more, and nobody asked the upstream for more.
    pub fn waited_for_client(&mut self, since: tokio::time::Instant) {
        self.client_wait += since.elapsed();
    }

    /// More bytes of the answer's body go out, unless only its head was asked for.
    pub fn bytes(&mut self, bytes: u64) {
        if self.method == "HEAD" {
            return;
        }
        self.bytes += bytes;
        if self.counted {
            self.metrics().sent(bytes);
        }
    }

    /// A part of a stream is about to be made. Gives a clock for those whose time is taken.
    pub fn clock(&self) -> Option<Instant> {
        self.frames.is_multiple_of(TIMED).then(Instant::now)
    }

    /// A part of a stream is made, and goes out; with a clock, it took so long to make.
    pub fn frame(&mut self, bytes: u64, clock: Option<Instant>) {
        self.first_byte();
        self.frames += 1;
        self.bytes(bytes);
        if let Some(clock) = clock {
            self.metrics().delayed(clock.elapsed());
        }
    }

    /// So many of the upstream's events have come.
    pub fn events(&mut self, events: u64) {
        // Most looks bring none, and all threads share the counter.
        if events > 0 {
            self.events += events;
            self.metrics().events(events);
        }
    }

    /// What the answer says, if it is to be logged.
    pub fn answer(&mut self, said: Said) {
        self.answer = Some(said);
    }

    /// The status that goes out.
    pub fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// The request fails with this status, or, once a status has gone out, within its answer.
    pub fn fail(&mut self, failure: Failure) {
        self.failed = Some(failure);
    }

    /// It asks whether the gateway is ready, and that is not so: nothing that has gone wrong just now,
    /// and asked again and again.
    pub fn not_ready(&mut self, reason: &'static str) {
        self.fail(Failure {
            status: 503,
            kind: NOT_READY,
            owner: Owner::Gateway,
            of_time: false,
            text: format!("the gateway is not ready: {reason}"),
            param: None,
        });
    }

    /// As [`RequestRecord::fail`], unless it has failed already: the first failure is the reason.
    pub fn fail_first(&mut self, failure: Failure) {
        self.failed.get_or_insert(failure);
    }

    /// How the client is lost, if the answer does not get to its end.
    pub fn lost(&mut self, lost: Lost) {
        self.lost = lost;
    }

    /// The answer has gone out to its last byte (an error's answer, too). Closes the record.
    pub fn whole(mut self) {
        self.whole = true;
    }
}
