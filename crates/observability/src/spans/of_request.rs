//! A request's record as spans.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceFlags};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::Place;
use crate::tries::{ANSWERED, Ended, GIVEN_UP};

/// Nobody waited for it any more: no error of the upstream's.
fn is_the_clients_going(kind: &str) -> bool {
    matches!(kind, GIVEN_UP | "client_hung_up" | "client_stalled")
}

/// What a span tells of what was asked.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) model: Option<&'a str>,
    pub(crate) stream: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
}

/// What a record tells at its end.
#[derive(Debug)]
pub(crate) struct InSpans<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) method: &'a str,
    /// The path: of a chat request, so one of a few.
    pub(crate) path: &'a str,
    pub(crate) scheme: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    /// The kind of failure.
    pub(crate) failure: Option<&'static str>,
    /// It is the gateway's or the upstream's.
    pub(crate) is_error: bool,
    pub(crate) took: Duration,
    pub(crate) queued: Option<Duration>,
    pub(crate) dialect: Option<&'static str>,
    pub(crate) asked: Asked<'a>,
    pub(crate) usage: Option<(u64, u64)>,
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) tries: &'a [Ended],
}

impl InSpans<'_> {
    /// How many spans they are.
    pub(super) fn count(&self) -> usize {
        1 + self.tries.len()
    }

    /// The request's span, and one for each try.
    pub(super) fn spans(&self, place: &Place, scope: &InstrumentationScope) -> Vec<SpanData> {
        let now = (SystemTime::now(), Instant::now());
        let tries = self.tries.iter().map(|ended| self.of_try(place, scope, ended, now));
        std::iter::once(self.of_request(place, scope, now.0)).chain(tries).collect()
    }

    fn of_request(&self, place: &Place, scope: &InstrumentationScope, now: SystemTime) -> SpanData {
        let mut attributes = vec![
            KeyValue::new("http.request.method", self.method.to_owned()),
            KeyValue::new("http.route", self.path.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(self.status)),
            KeyValue::new("url.path", self.path.to_owned()),
            KeyValue::new("url.scheme", self.scheme),
            KeyValue::new("z2api.route", self.route),
            KeyValue::new("z2api.request_id", self.request_id.to_owned()),
        ];
        if let Some(queued) = self.queued {
            attributes.push(KeyValue::new("z2api.queue_time", queued.as_secs_f64()));
        }
        attributes.extend(self.failure.map(|kind| KeyValue::new("error.type", kind)));
        SpanData {
            span_context: place.context.clone(),
            parent_span_id: place.parent,
            parent_span_is_remote: place.parent != SpanId::INVALID,
            span_kind: SpanKind::Server,
            name: Cow::Owned(format!("{} {}", self.method, self.path)),
            start_time: now - self.took,
            end_time: now,
            attributes,
            status: match self.failure.filter(|_| self.is_error) {
                Some(kind) => Status::error(kind),
                None => Status::Unset,
            },
            ..blank(place, scope)
        }
    }

    fn of_try(
        &self,
        place: &Place,
        scope: &InstrumentationScope,
        ended: &Ended,
        (now, instant): (SystemTime, Instant),
    ) -> SpanData {
        let at = now - instant.saturating_duration_since(ended.at);
        let answered = ended.of.outcome == ANSWERED;
        // The one that was answered goes on to the answer's end.
        let end = if answered { now } else { at };
        let failure = match ended.of.outcome {
            ANSWERED => self.failure,
            GIVEN_UP => Some(GIVEN_UP),
            kind => Some(kind),
        };
        let mut attributes = self.about_model(answered);
        let status = ended.of.status.map(i64::from);
        attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", status)));
        attributes.extend(failure.map(|kind| KeyValue::new("error.type", kind)));
        attributes.push(KeyValue::new("z2api.attempt", i64::from(ended.of.number)));
        if answered {
            let first = ended.of.took.as_secs_f64();
            attributes.push(KeyValue::new("gen_ai.response.time_to_first_chunk", first));
        }
        let model = self.asked.model.unwrap_or_default();
        SpanData {
            span_context: place.with_span(ended.span),
            parent_span_id: place.context.span_id(),
            span_kind: SpanKind::Client,
            name: Cow::Owned(format!("chat {model}").trim_end().to_owned()),
            start_time: at - ended.of.took,
            end_time: end,
            attributes,
            status: match failure.filter(|kind| !is_the_clients_going(kind)) {
                Some(kind) => Status::error(kind),
                None => Status::Unset,
            },
            ..blank(place, scope)
        }
    }

    /// By the conventions for generative AI.
    fn about_model(&self, answered: bool) -> Vec<KeyValue> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut all = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", "z.ai"),
        ];
        let Asked { model, stream, max_tokens, temperature } = &self.asked;
        all.extend(model.map(|model| KeyValue::new("gen_ai.request.model", model.to_owned())));
        if *stream {
            all.push(KeyValue::new("gen_ai.request.stream", true));
        }
        all.extend(max_tokens.map(|most| KeyValue::new("gen_ai.request.max_tokens", whole(most))));
        all.extend(temperature.map(|warm| KeyValue::new("gen_ai.request.temperature", warm)));
        all.extend(self.dialect.map(|dialect| KeyValue::new("z2api.dialect", dialect)));
        if let Some((input, output)) = self.usage.filter(|_| answered) {
            all.push(KeyValue::new("gen_ai.usage.input_tokens", whole(input)));
            all.push(KeyValue::new("gen_ai.usage.output_tokens", whole(output)));
        }
        if let Some(reason) = self.finish_reason.filter(|_| answered) {
            let reasons = Value::Array(Array::String(vec![StringValue::from(reason)]));
            all.push(KeyValue::new("gen_ai.response.finish_reasons", reasons));
        }
        all
    }
}

/// The parts that all spans share.
fn blank(place: &Place, scope: &InstrumentationScope) -> SpanData {
    debug_assert_eq!(place.context.trace_flags(), TraceFlags::SAMPLED);
    SpanData {
        span_context: place.context.clone(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Borrowed(""),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    }
}
