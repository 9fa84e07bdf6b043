//! The record of a request: opened with it, closed once, however it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::id::RequestId;
use crate::line::{Options, Parameters, RequestLine, ResponseLine, now};
use crate::metrics::{Ended, Metrics, Owner};
use crate::recent::Finished;
use crate::sink::LogSink;
use crate::spans::{InSpans, Tracer};
use crate::tries::{Came, Noted, Traced, Tries};
use crate::waits::Queue;

/// nginx's number for a client that went away before its answer was complete.
pub(crate) const HUNG_UP: u16 = 499;

/// A client may call a method what it likes; the longest that is registered has 17 characters.
const MAX_METHOD: usize = 32;

/// So long a client may keep an answer waiting, in all, and say nothing about the model's pace.
const HARMLESS_WAIT: Duration = Duration::from_millis(100);

/// Of so many parts of a stream, one has its time taken.
const TIMED: u64 = 16;

/// How a client is lost that had not had all of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It went away.
    HungUp,
    /// It was let go of, for it did not take its answer.
    Stalled,
}

impl Lost {
    fn kind(self) -> &'static str {
        match self {
            Self::HungUp => "client_hung_up",
            Self::Stalled => "client_stalled",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::HungUp => "the client hung up",
            Self::Stalled => "the client did not take its answer",
        }
    }
}

/// What is known once a request has been understood.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The key, masked.
    pub api_key_masked: String,
    /// Whose key it is, if it has a name.
    pub key_name: Option<String>,
    /// The model asked for.
    pub model: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// How many messages.
    pub message_count: usize,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// As given.
    pub temperature: Option<f64>,
    /// As given.
    pub max_tokens: Option<u64>,
    /// The messages, if they are to be logged.
    pub messages: Option<String>,
}

/// The text of an answer, as far as the log may have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was answered.
    pub content: String,
    /// What was thought before, where that was shown apart.
    pub reasoning: String,
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status, if none has gone out.
    pub status: u16,
    /// The kind, from a fixed list.
    pub kind: &'static str,
    /// Who could have prevented it.
    pub owner: Owner,
    /// What the log says.
    pub text: String,
}

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
    /// What is known of who asks before the request is understood.
    asker: Asked,
    asked: Option<Asked>,
    route: &'static str,
    model: Option<String>,
    manner: Option<(&'static str, &'static str)>,
    tries: Tries,
    usage: Option<(u64, u64)>,
    usage_parts: (Option<u64>, Option<u64>),
    finish_reason: Option<&'static str>,
    first_byte: Option<Duration>,
    upstream_end: Option<Instant>,
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
            asker: Asked { api_key_masked: "****".to_owned(), ..Asked::default() },
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

    /// What the client calls itself; for the request line of one that is never understood.
    pub fn agent(&mut self, user_agent: String) {
        self.asker.user_agent = user_agent;
    }

    /// Whose key it is, once it is known to be good: the masked key and its name.
    pub fn key(&mut self, masked: &str, name: Option<&str>) {
        self.asker.api_key_masked = masked.to_owned();
        self.asker.key_name = name.map(str::to_owned);
    }

    /// The request has been understood. Writes the request line.
    pub fn asked(&mut self, asked: Asked) {
        let asked = self.asked.insert(asked).clone();
        self.request_line(&asked, Some(&asked.model));
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
        self.upstream_end = Some(Instant::now());
    }

    /// So long the client was not ready for more, while nobody asked the upstream for more.
    pub fn waited_for_client(&mut self, took: Duration) {
        self.client_wait += took;
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

    /// The text of the answer, if it is to be logged.
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

    /// What the live page is told.
    fn finished(&self, end: &End<'_>, noted: &Noted) -> Finished {
        let first_token = self.first_token(noted);
        let manner = self.manner;
        Finished {
            number: 0,
            request_id: self.id.as_str().to_owned(),
            timestamp: now(),
            route: self.route,
            model: self.model.clone(),
            status: end.status,
            owner: end.owner,
            failure: end.kind,
            api_key: self.asker.api_key_masked.clone(),
            key_name: self.asker.key_name.clone(),
            stream: self.asked.as_ref().map(|asked| asked.stream),
            dialect: manner.map(|(dialect, _)| dialect),
            think_mode: manner.map(|(_, mode)| mode),
            finish_reason: self.finish_reason,
            response_time_ms: millis(end.took),
            queue_time_ms: noted.queued().map(millis),
            time_to_first_token_ms: first_token.map(millis),
            retry_count: noted.retries(),
            prompt_tokens: self.usage.map(|(prompt, _)| prompt),
            completion_tokens: self.usage.map(|(_, completion)| completion),
            upstream_events: self.events,
            tokens_per_second: self.pace(noted),
            bytes_sent: self.bytes,
        }
    }

    fn first_token(&self, noted: &Noted) -> Option<Duration> {
        noted.answered().map(|at| at.saturating_duration_since(self.began))
    }

    /// Until the first byte of the answer went out; of an answer in one piece, that is its end.
    fn to_first_byte(&self, end: &End<'_>) -> Option<Duration> {
        self.first_byte.or_else(|| (end.status != HUNG_UP).then_some(end.took))
    }

    /// How long the model took from its first token to its last. While a client reads nothing, the
    /// upstream is not read: if that was long, nobody knows what the model did meanwhile.
    fn generation(&self, noted: &Noted) -> Option<Duration> {
        let took = self.upstream_end?.saturating_duration_since(noted.answered()?);
        let known = self.client_wait <= HARMLESS_WAIT + took / 10;
        known.then(|| took.saturating_sub(self.client_wait))
    }

    /// Tokens of the answer for each second that the model wrote.
    fn pace(&self, noted: &Noted) -> Option<f64> {
        let (seconds, (_, tokens)) = (self.generation(noted)?.as_secs_f64(), self.usage?);
        (tokens > 0 && seconds > 0.0).then(|| tokens as f64 / seconds)
    }

    fn request_line(&self, asked: &Asked, model: Option<&str>) {
        let Some(log) = &self.log else { return };
        log.line(&RequestLine {
            request_id: self.id.as_str(),
            timestamp: now(),
            level: "INFO",
            r#type: "request",
            client_ip: self.client_ip.to_string(),
            api_key: &asked.api_key_masked,
            key_name: asked.key_name.as_deref(),
            model,
            user_agent: &asked.user_agent,
            parameters: Parameters {
                message_count: asked.message_count,
                parameters: Options {
                    stream: asked.stream,
                    temperature: asked.temperature,
                    max_tokens: asked.max_tokens,
                },
            },
            messages: asked.messages.as_deref(),
        });
    }

    fn response_line(&self, end: &End<'_>, noted: &Noted) {
        let Some(log) = &self.log else { return };
        let asked = self.asked.as_ref();
        let said_before = self.answer.as_ref().map(|said| said.reasoning.as_str());
        log.line(&ResponseLine {
            request_id: self.id.as_str(),
            trace_id: noted.trace_id(),
            timestamp: now(),
            level: end.level(),
            r#type: "response",
            status_code: end.status,
            response_time_ms: millis(end.took),
            retry_count: noted.retries(),
            endpoint: &self.endpoint,
            method: &self.method,
            client_ip: self.client_ip.to_string(),
            api: self.route,
            stream: asked.map(|asked| asked.stream),
            model: asked.map(|asked| asked.model.as_str()),
            api_key: asked.map(|asked| asked.api_key_masked.as_str()),
            key_name: self.asker.key_name.as_deref(),
            dialect: self.manner.map(|(dialect, _)| dialect),
            think_mode: self.manner.map(|(_, mode)| mode),
            queue_time_ms: noted.queued().map(millis),
            time_to_first_token_ms: self.first_token(noted).map(millis),
            time_to_first_byte_ms: self.to_first_byte(end).map(millis),
            client_wait_ms: millis(self.client_wait),
            attempts: noted.lines(),
            finish_reason: self.finish_reason,
            prompt_tokens: self.usage.map(|(prompt, _)| prompt),
            completion_tokens: self.usage.map(|(_, completion)| completion),
            upstream_events: self.events,
            bytes_sent: self.bytes,
            error_kind: end.kind,
            error_owner: end.kind.map(|_| end.owner),
            error: end.error,
            content: self.answer.as_ref().map(|said| said.content.as_str()),
            reasoning_content: said_before.filter(|thinking| !thinking.is_empty()),
        });
    }

    /// Hands a chat request to the tracer, if it is traced.
    fn spans(&self, end: &End<'_>, noted: &Noted) {
        let (true, Some(Traced { tracer, came, place })) = (self.counted, &noted.traced) else {
            return;
        };
        let request = InSpans {
            request_id: self.id.as_str(),
            method: &self.method,
            path: &self.endpoint,
            came,
            client_ip: self.client_ip,
            user_agent: &self.asker.user_agent,
            route: self.route,
            sent: (end.status != HUNG_UP).then_some(end.status).or(self.status),
            failure: end.kind,
            took: end.took,
            queued: noted.queued(),
            model: self.model.as_deref(),
            stream: self.asked.as_ref().map(|asked| asked.stream),
            dialect: self.manner.map(|(dialect, _)| dialect),
            usage: self.usage,
            usage_parts: self.usage_parts,
            finish_reason: self.finish_reason,
            noted,
        };
        tracer.ended(place, &request);
    }

    /// What becomes of it, if it is dropped now.
    fn end<'a>(&self, failed: Option<&'a Failure>) -> End<'a> {
        let (status, error) = match (failed, self.status, self.whole) {
            // A stream that fails has sent its status long before.
            (Some(failure), sent, _) => {
                (sent.unwrap_or(failure.status), Some(failure.text.as_str()))
            }
            (None, Some(status), true) => (status, None),
            (None, _, _) => (HUNG_UP, Some(self.lost.text())),
        };
        let (owner, kind) = match failed {
            Some(failure) => (failure.owner, Some(failure.kind)),
            None if status == HUNG_UP => (Owner::Client, Some(self.lost.kind())),
            None => (Owner::None, None),
        };
        let within = failed.is_some() && self.status.is_some();
        End { status, error, owner, kind, within, took: self.began.elapsed() }
    }
}

/// How a request ends.
struct End<'a> {
    status: u16,
    error: Option<&'a str>,
    owner: Owner,
    kind: Option<&'static str>,
    /// It failed within its answer.
    within: bool,
    took: Duration,
}

impl End<'_> {
    fn level(&self) -> &'static str {
        if self.within || self.status >= 500 { "ERROR" } else { "INFO" }
    }

    fn is_error(&self) -> bool {
        self.within || (self.status >= 400 && self.status != HUNG_UP)
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let failed = self.failed.take().or_else(|| std::thread::panicking().then(panicked));
        let end = self.end(failed.as_ref());
        let tries = self.tries.clone();
        let noted = tries.lock();
        if self.quiet && end.status < 400 {
            self.log = None;
        }
        if self.asked.is_none() {
            // No chat, or refused before it was understood: it still has its request line.
            self.request_line(&self.asker, None);
        }
        if self.counted {
            self.counters.ended(end.took, end.is_error());
            self.counters.recent().add(self.finished(&end, &noted));
        }
        let now = Instant::now();
        self.metrics().odd_events(noted.unknown_events, 0);
        self.metrics().ended(&Ended {
            chat: self.counted,
            route: self.route,
            model: self.model.clone().unwrap_or_default(),
            status: end.status,
            key_name: self.asker.key_name.clone(),
            owner: end.owner,
            failure: end.kind,
            took: end.took,
            first_token: self.first_token(&noted),
            first_byte: self.first_byte,
            generation: self.generation(&noted),
            waits: Queue::ALL.map(|queue| (queue, noted.waits.of(queue, now))),
            tries: noted.kept.iter().map(|ended| ended.of.clone()).collect(),
            usage: self.usage,
        });
        self.spans(&end, &noted);
        self.response_line(&end, &noted);
    }
}

/// Whoever held the record was at fault, and cannot say so any more.
fn panicked() -> Failure {
    let text = "a panic within the gateway".to_owned();
    Failure { status: 500, kind: "panic", owner: Owner::Gateway, text }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn failure(status: u16, kind: &'static str) -> Failure {
        Failure { status, kind, owner: Owner::Upstream, text: kind.to_owned() }
    }

    #[test]
    fn the_last_requests_are_remembered_with_their_totals() {
        let (_, counters) = lines(|mut record| {
            record.counted();
            record.key("sk-1****abcd", Some("ann"));
            record.asked(Asked { model: "a client's words".into(), ..Asked::default() });
            record.status(200);
            record.usage(3, 4);
            record.whole();
        });
        let ip = IpAddr::from([127, 0, 0, 1]);
        for number in 0..120 {
            let id = RequestId::accept(&format!("req_{number}")).unwrap();
            let mut record = RequestRecord::open(None, counters.clone(), id, "POST", "/x", ip);
            record.counted();
            match number % 3 {
                0 => record.fail(failure(502, "upstream_truncated")),
                1 => record.status(200),
                _ => record.fail(Failure { owner: Owner::Client, ..failure(400, "bad") }),
            }
        }
        let totals = counters.recent().totals();
        assert_eq!((totals.finished, totals.hung_up, totals.failed_by_client), (121, 40, 40));
        assert_eq!((totals.failed_by_upstream, totals.failed_by_gateway), (40, 0));
        assert_eq!((totals.prompt_tokens, totals.completion_tokens), (3, 4));
        let last = counters.recent().since(0);
        assert_eq!((last.len(), last[0].number, last[99].number), (100, 22, 121));
        assert_eq!(last[99].request_id, "req_119");
        assert_eq!(counters.recent().since(119).len(), 2);
        let shown = serde_json::to_string(&last[99]).unwrap();
        assert!(shown.contains(r#""owner":"client""#), "{shown}");
    }

    /// The lines of a request that goes as `run` says.
    fn lines(run: impl FnOnce(Box<RequestRecord>)) -> (Vec<Value>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let (log, memory, guard) = LogSink::memory();
        let id = RequestId::accept("req_1").unwrap();
        let ip = IpAddr::from([127, 0, 0, 1]);
        run(RequestRecord::open(Some(log), counters.clone(), id, "POST", "/x", ip));
        drop(guard);
        let parsed = memory.lines().into_iter();
        let parsed = parsed.map(|line| serde_json::from_str(&line).unwrap());
        (parsed.collect(), counters)
    }

    #[test]
    fn a_whole_answer_has_one_line_in_and_one_out() {
        let (lines, counters) = lines(|mut record| {
            record.counted();
            record.asked(Asked { model: "m".into(), message_count: 2, ..Asked::default() });
            record.status(200);
            record.usage(3, 4);
            record.first_byte();
            record.bytes(10);
            record.whole();
        });
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["type"], "request");
        assert_eq!(lines[0]["parameters"]["message_count"], 2);
        assert_eq!(lines[0]["parameters"]["parameters"]["temperature"], Value::Null);
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&200.into(), &"INFO".into()));
        assert_eq!(
            (&lines[1]["completion_tokens"], &lines[1]["bytes_sent"]),
            (&4.into(), &10.into())
        );
        assert!(lines[1].get("error").is_none());
        assert_eq!((counters.total_requests(), counters.error_count()), (1, 0));
    }

    #[test]
    fn a_client_that_hangs_up_is_a_499_and_no_error() {
        let (lines, counters) = lines(|mut record| {
            record.counted();
            record.asked(Asked::default());
            record.status(200);
        });
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&499.into(), &"INFO".into()));
        assert_eq!(counters.error_count(), 0);
    }

    #[test]
    fn a_client_that_is_let_go_of_is_told_from_one_that_goes() {
        let (lines, _) = lines(|mut record| {
            record.counted();
            record.status(200);
            record.lost(Lost::Stalled);
        });
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&499.into(), &"INFO".into()));
        assert_eq!(lines[1]["error_kind"], "client_stalled");
    }

    #[test]
    fn a_refusal_has_both_lines_and_its_status() {
        let (lines, counters) = lines(|mut record| {
            record.counted();
            record.fail(failure(401, "invalid_api_key"));
        });
        assert_eq!((&lines[0]["type"], &lines[0]["model"]), (&"request".into(), &Value::Null));
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&401.into(), &"INFO".into()));
        assert_eq!(counters.error_count(), 1);
    }

    #[test]
    fn a_stream_that_fails_is_an_error_under_the_status_it_sent() {
        let (lines, counters) = lines(|mut record| {
            record.counted();
            record.asked(Asked::default());
            record.status(200);
            record.fail(failure(502, "upstream_truncated"));
            record.whole();
        });
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&200.into(), &"ERROR".into()));
        assert_eq!(lines[1]["error"], "upstream_truncated");
        assert_eq!(counters.error_count(), 1);
    }
}
