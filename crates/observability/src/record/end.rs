//! What becomes of a record: a line of the log, metrics, spans, and a row of the live page.

use std::time::{Duration, Instant};

use tracing::Level;

use super::{Asked, Failure, NOT_READY, RequestRecord};
use crate::line::{Options, Parameters, RequestLine, ResponseLine, now};
use crate::metrics::{Ended, Owner};
use crate::recent::Finished;
use crate::spans::InSpans;
use crate::tries::{Noted, Traced};
use crate::waits::Queue;

/// nginx's number for a client that went away before its answer was complete.
pub const HUNG_UP: u16 = 499;

/// So long a client may keep an answer waiting, in all, and say nothing about the model's pace.
const HARMLESS_WAIT: Duration = Duration::from_millis(100);

impl RequestRecord {
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
            api_key: self.shown_key().to_owned(),
            key_name: self.key_name().map(str::to_owned),
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
        let (end, client_wait) = self.upstream_end?;
        let took = end.saturating_duration_since(noted.answered()?);
        let known = client_wait <= HARMLESS_WAIT + took / 10;
        known.then(|| took.saturating_sub(client_wait))
    }

    /// Who made the gateway let go of the upstream before the end of its answer, if it did. That is
    /// the gateway itself where it had all that was asked for: a stop word was found that the
    /// upstream does not know of.
    fn cancelled_by(&self, end: &End<'_>, noted: &Noted) -> Option<Owner> {
        noted.is_cancelled().then_some(match (self.upstream_end, end.owner) {
            (Some(_), _) | (None, Owner::None) => Owner::Gateway,
            (None, owner) => owner,
        })
    }

    /// Tokens of the answer for each second that the model wrote.
    fn pace(&self, noted: &Noted) -> Option<f64> {
        let (seconds, (_, tokens)) = (self.generation(noted)?.as_secs_f64(), self.usage?);
        (tokens > 0 && seconds > 0.0).then(|| tokens as f64 / seconds)
    }

    /// The key as a line shows that has to show one: a wrong one is never told.
    fn shown_key(&self) -> &str {
        self.key.as_ref().map_or("****", |key| key.masked.as_str())
    }

    fn key_name(&self) -> Option<&str> {
        self.key.as_ref()?.name.as_deref()
    }

    pub(super) fn request_line(&self, asked: Option<&Asked>) {
        let Some(log) = &self.log else { return };
        let line = RequestLine {
            request_id: self.id.as_str(),
            timestamp: now(),
            level: Level::INFO.as_str(),
            r#type: "request",
            client_ip: self.client_ip.to_string(),
            api_key: self.shown_key(),
            key_name: self.key_name(),
            model: asked.map(|asked| asked.model.as_str()),
            user_agent: &self.user_agent,
            parameters: Parameters {
                message_count: asked.map(|asked| asked.message_count),
                parameters: Options {
                    stream: asked.map(|asked| asked.stream),
                    temperature: asked.and_then(|asked| asked.temperature),
                    max_tokens: asked.and_then(|asked| asked.max_tokens),
                },
            },
            messages: asked.and_then(|asked| asked.messages.as_deref()),
        };
        log.line(Level::INFO, &line);
    }

    fn response_line(&self, end: &End<'_>, noted: &Noted) {
        let Some(log) = &self.log else { return };
        let asked = self.asked.as_ref();
        let said = self.answer.as_ref();
        let line = ResponseLine {
            request_id: self.id.as_str(),
            trace_id: noted.trace_id(),
            timestamp: now(),
            level: end.level().as_str(),
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
            api_key: self.key.as_ref().map(|key| key.masked.as_str()),
            key_name: self.key_name(),
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
            error_param: end.param,
            content: said.map(|said| &said.content),
            reasoning_content: said.map(|said| &said.reasoning).filter(|text| !text.is_empty()),
            tool_calls: said.map(|said| said.calls.as_slice()).unwrap_or_default(),
            tool_calls_left_out: said.map_or(0, |said| said.calls_left_out),
        };
        log.line(end.level(), &line);
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
            user_agent: &self.user_agent,
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
        let took = self.began.elapsed();
        let slow_client = failed.is_some_and(|failure| {
            let used_up = self.client_wait > took / 2;
            failure.of_time && (used_up || failure.owner == Owner::Client)
        });
        let (owner, kind) = match failed {
            Some(failure) if slow_client => (Owner::Client, Some(failure.kind)),
            Some(failure) => (failure.owner, Some(failure.kind)),
            None if status == HUNG_UP => (Owner::Client, Some(self.lost.kind())),
            None => (Owner::None, None),
        };
        let within = failed.is_some() && self.status.is_some();
        let param = failed.and_then(|failure| failure.param.as_deref());
        End { status, error, param, owner, kind, within, slow_client, took }
    }
}

/// How a request ends.
struct End<'a> {
    status: u16,
    error: Option<&'a str>,
    param: Option<&'a str>,
    owner: Owner,
    kind: Option<&'static str>,
    /// It failed within its answer.
    within: bool,
    /// Its time has run out, and its client used up most of that.
    slow_client: bool,
    took: Duration,
}

impl End<'_> {
    fn level(&self) -> Level {
        let failed = self.within || self.status >= 500;
        match self.kind {
            Some(NOT_READY) => Level::WARN,
            _ if failed && !self.slow_client => Level::ERROR,
            _ => Level::INFO,
        }
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
            self.request_line(None);
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
            key_name: self.key_name().map(str::to_owned),
            owner: end.owner,
            failure: end.kind,
            took: end.took,
            first_token: self.first_token(&noted),
            first_byte: self.first_byte,
            generation: self.generation(&noted),
            waits: Queue::ALL.map(|queue| (queue, noted.waits.of(queue, now))),
            tries: noted.kept.iter().map(|ended| ended.of.clone()).collect(),
            cancelled_by: self.cancelled_by(&end, &noted),
            usage: self.usage,
        });
        self.spans(&end, &noted);
        self.response_line(&end, &noted);
    }
}

/// Whoever held the record was at fault, and cannot say so any more.
fn panicked() -> Failure {
    let text = "a panic within the gateway".to_owned();
    Failure { status: 500, kind: "panic", owner: Owner::Gateway, of_time: false, text, param: None }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
