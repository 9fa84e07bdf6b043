//! The times that one request asked the upstream.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::SpanId;
use serde::Serialize;

use crate::spans::{AnswerName, ModelCall, Place, Tracer, UpstreamPlace, new_span};
use crate::waits::{Queue, Waits};

/// How many are kept; beyond, they are only counted. The client asks no more often: once, as often
/// as `MAX_RETRIES` may say, and a few times that are no retries.
const MAX_KEPT: usize = 40;

/// One time the upstream was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// Counted from 1.
    pub number: u32,
    /// With which of the upstream's tokens, by its place in the settings.
    pub token: usize,
    /// `answered`, `given_up` (nobody waited any more), or the kind of failure; from fixed lists.
    pub outcome: &'static str,
    /// The upstream's status, if it refused with one.
    pub status: Option<u16>,
    /// The status that came, also where the answer then refuses.
    pub received: Option<u16>,
    /// Until the model's first token, or the failure.
    pub took: Duration,
}

/// `outcome` of a try that the model answered.
pub const ANSWERED: &str = "answered";

/// `outcome` of a try for which nobody waited any more.
pub const GIVEN_UP: &str = "given_up";

/// A try as the response line has it.
#[derive(Debug, Serialize)]
pub(crate) struct TryLine {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    token: usize,
    took_ms: u64,
}

/// How a request came, as far as its span tells it.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The version of HTTP, such as `1.1`.
    pub version: &'static str,
    /// The name and port that the client asked for, if it names them.
    pub host: Option<(String, u16)>,
}

/// A request's place in a trace, and who takes its spans.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    pub(crate) tracer: Tracer,
    pub(crate) came: Came,
    pub(crate) place: Place,
}

/// All tries of a request. Clones share them: whoever asks the upstream notes them, and the record
/// has them even if nobody waits for the outcome.
#[derive(Debug, Clone, Default)]
pub struct Tries {
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// All of them.
    pub(crate) count: u32,
    pub(crate) kept: Vec<Ended>,
    /// How long the request waited in queues.
    pub(crate) waits: Waits,
    /// Events of unknown shape that came to nothing.
    pub(crate) unknown_events: u64,
    /// How long the request's body took to come.
    body: Option<Duration>,
    /// Since when the upstream is asked.
    pub(crate) asked: Option<Instant>,
    /// When an answer that goes out in one piece was all there.
    gathered: Option<Instant>,
    /// Where the request stands in a trace.
    pub(crate) traced: Option<Traced>,
    /// The span of the try that is under way.
    span: Option<SpanId>,
    /// What the upstream is asked, if the request is traced.
    pub(crate) call: Option<ModelCall>,
    /// What the upstream calls its answer.
    pub(crate) answer: AnswerName,
    /// Its answer was let go of before its end.
    let_go: bool,
}

/// A try, and when it ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) of: Try,
    pub(crate) at: Instant,
    /// Its span, if the request is traced.
    pub(crate) span: SpanId,
}

impl Tries {
    /// A try begins. Gives the place in the trace for the upstream, if it is to be told.
    pub fn begin(&self) -> Option<UpstreamPlace> {
        let noted = &mut *self.lock();
        let Traced { tracer, place, .. } = noted.traced.as_ref()?;
        let span = *noted.span.insert(new_span());
        tracer.for_upstream(place, span)
    }

    /// The id of the request's trace, if it is recorded in one.
    pub fn trace_id(&self) -> Option<String> {
        self.lock().trace_id()
    }

    /// The request waits from now on, until what is answered is dropped.
    pub fn wait(&self, queue: Queue) -> Waiting {
        self.waits(queue);
        Waiting { tries: self.clone() }
    }

    /// The request waits from now on.
    pub fn waits(&self, queue: Queue) {
        self.lock().waits.begin(queue, Instant::now());
    }

    /// It waits no more.
    pub fn waited(&self) {
        self.lock().waits.end(Instant::now());
    }

    /// So many events of unknown shape came to nothing: no answer was made of what they came with.
    pub fn unknown_events(&self, count: u64) {
        self.lock().unknown_events += count;
    }

    /// The request's body is there; it took so long to come.
    pub fn body(&self, took: Duration) {
        self.lock().body = Some(took);
    }

    /// The upstream is about to be asked, as often as need be. What it is asked is told only to traces.
    pub fn asks(&self, call: impl FnOnce() -> ModelCall) {
        let noted = &mut *self.lock();
        noted.asked = Some(Instant::now());
        noted.call = noted.is_sampled().then(call);
    }

    /// The upstream answers, and calls its answer so; told only to traces.
    pub fn answers(&self, name: impl FnOnce() -> AnswerName) {
        let noted = &mut *self.lock();
        if noted.is_sampled() {
            noted.answer = name();
        }
    }

    /// The upstream's answer is let go of before its end.
    pub fn let_go(&self) {
        self.lock().let_go = true;
    }

    /// An answer that goes out in one piece is all there, or will not be.
    pub fn gathered(&self) {
        self.lock().gathered = Some(Instant::now());
    }

    /// The value of a header `Server-Timing` for the request that came at `began`: how long its body
    /// took to come, how long it waited in queues and for the upstream's first event (all tries and
    /// the pauses between them), how long the rest of an answer in one piece took, and what is left
    /// for the gateway; in milliseconds.
    pub fn server_timing(&self, began: Instant) -> String {
        let noted = self.lock();
        let now = Instant::now();
        let first = noted.answered().unwrap_or(now);
        let for_token = noted.waits.of(Queue::Token, now).unwrap_or_default();
        let asked = noted.asked.map(|asked| first.saturating_duration_since(asked));
        let upstream = asked.map(|asked| asked.saturating_sub(for_token));
        let begun = noted.gathered.filter(|_| noted.answered().is_some());
        let answer = begun.map(|at| at.saturating_duration_since(first));
        let others = [
            ("body", noted.body),
            ("queue", noted.waits.sum(now)),
            ("upstream", upstream),
            ("answer", answer),
        ];
        let sum: Duration = others.iter().filter_map(|(_, took)| *took).sum();
        let gateway = now.saturating_duration_since(began).saturating_sub(sum);
        let mut value = String::with_capacity(128);
        for (name, took) in others.into_iter().chain([("gateway", Some(gateway))]) {
            let Some(took) = took else { continue };
            let comma = if value.is_empty() { "" } else { ", " };
            let tenths = (took.as_micros() + 50) / 100;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            write!(value, "{comma}{name};dur={whole}.{tenth}").expect("memory takes all");
        }
        value
    }

    /// A try has ended.
    pub fn add(&self, of: Try) {
        let mut noted = self.lock();
        noted.count += 1;
        if noted.kept.len() < MAX_KEPT {
            let span = noted.span.take().unwrap_or(SpanId::INVALID);
            noted.kept.push(Ended { of, at: Instant::now(), span });
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait in a queue. Dropping it is its end, however that comes.
#[derive(Debug)]
#[must_use = "a dropped wait is over"]
pub struct Waiting {
    tries: Tries,
}

impl Waiting {
    /// It was turned away at once: that was no wait.
    pub fn forget(self) {
        self.tries.lock().waits.forget();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tries.waited();
    }
}

impl Noted {
    /// How long it has waited in queues.
    pub(crate) fn queued(&self) -> Option<Duration> {
        self.waits.sum(Instant::now())
    }

    /// How many came after the first.
    pub(crate) fn retries(&self) -> u32 {
        self.count.saturating_sub(1)
    }

    /// When the model began to answer.
    pub(crate) fn answered(&self) -> Option<Instant> {
        self.kept.iter().find(|ended| ended.of.outcome == ANSWERED).map(|ended| ended.at)
    }

    /// Whether the upstream was given up while it was asked, or before the end of its answer.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.let_go || self.kept.last().is_some_and(|last| last.of.outcome == GIVEN_UP)
    }

    /// The id of the trace, if the request is recorded in one.
    pub(crate) fn trace_id(&self) -> Option<String> {
        let place = &self.traced.as_ref()?.place;
        place.is_sampled().then(|| place.trace_id())
    }

    fn is_sampled(&self) -> bool {
        self.traced.as_ref().is_some_and(|traced| traced.place.is_sampled())
    }

    pub(crate) fn lines(&self) -> Vec<TryLine> {
        let line = |Ended { of, .. }: &Ended| TryLine {
            outcome: of.outcome,
            status: of.status,
            token: of.token,
            took_ms: u64::try_from(of.took.as_millis()).unwrap_or(u64::MAX),
        };
        self.kept.iter().map(line).collect()
    }
}
