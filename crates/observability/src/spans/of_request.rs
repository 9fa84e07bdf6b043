//! A request's record as spans: the request, the call of the model under it, and the tries under that.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceFlags};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::Place;
use crate::tries::{Came, Noted};

/// What a record tells at its end.
#[derive(Debug)]
pub(crate) struct InSpans<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) method: &'a str,
    /// The path: of a chat request, so one of a few.
    pub(crate) path: &'a str,
    pub(crate) came: &'a Came,
    pub(crate) client_ip: IpAddr,
    pub(crate) user_agent: &'a str,
    pub(crate) route: &'static str,
    /// The status that went out, if one did.
    pub(crate) sent: Option<u16>,
    /// The kind of failure.
    pub(crate) failure: Option<&'static str>,
    pub(crate) took: Duration,
    pub(crate) queued: Option<Duration>,
    /// The model's public name.
    pub(crate) model: Option<&'a str>,
    /// Whether the client wants a stream.
    pub(crate) stream: Option<bool>,
    pub(crate) dialect: Option<&'static str>,
    pub(crate) usage: Option<(u64, u64)>,
    /// Cached tokens of the prompt, and the answer's tokens of thinking.
    pub(crate) usage_parts: (Option<u64>, Option<u64>),
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) noted: &'a Noted,
}

/// What the spans of one request share.
pub(super) struct Frame<'a> {
    pub(super) place: &'a Place,
    pub(super) scope: &'a InstrumentationScope,
    end: SystemTime,
    end_instant: Instant,
}

impl Frame<'_> {
    pub(super) fn end(&self) -> SystemTime {
        self.end
    }

    /// The same moment by the clock that a collector knows.
    pub(super) fn time(&self, at: Instant) -> SystemTime {
        self.end - self.end_instant.saturating_duration_since(at)
    }

    /// A span with the parts that all of them have.
    pub(super) fn blank(&self) -> SpanData {
        debug_assert_eq!(self.place.context.trace_flags(), TraceFlags::SAMPLED);
        SpanData {
            span_context: self.place.context.clone(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(""),
            start_time: self.end,
            end_time: self.end,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl InSpans<'_> {
    /// How many spans they are.
    pub(super) fn count(&self) -> usize {
        1 + usize::from(self.noted.call.is_some()) + self.noted.kept.len()
    }

    /// The request's span, the one of the call, and one for each try.
    pub(super) fn spans(&self, place: &Place, scope: &InstrumentationScope) -> Vec<SpanData> {
        let frame = Frame { place, scope, end: SystemTime::now(), end_instant: Instant::now() };
        let mut spans = vec![self.of_request(&frame)];
        spans.extend(self.of_call(&frame));
        spans
    }

    fn of_request(&self, frame: &Frame<'_>) -> SpanData {
        SpanData {
            parent_span_id: frame.place.parent,
            parent_span_is_remote: frame.place.parent != SpanId::INVALID,
            span_kind: SpanKind::Server,
            name: Cow::Owned(format!("{} {}", self.method, self.path)),
            start_time: frame.end() - self.took,
            attributes: self.about_request(),
            status: self.request_status(),
            ..frame.blank()
        }
    }

    /// A status of the 400s is the client's affair. An answer that was not sent whole is an error,
    /// also where the client gave it up: the conventions have it so.
    fn request_status(&self) -> Status {
        match (self.failure, self.sent) {
            (Some(_), Some(400..=499)) | (None, _) => Status::Unset,
            (Some(kind), _) => Status::error(kind),
        }
    }

    /// By the conventions for HTTP servers.
    fn about_request(&self) -> Vec<KeyValue> {
        let Came { scheme, version, host } = self.came;
        let mut all = vec![
            KeyValue::new("http.request.method", self.method.to_owned()),
            KeyValue::new("http.route", self.path.to_owned()),
            KeyValue::new("url.path", self.path.to_owned()),
            KeyValue::new("url.scheme", *scheme),
            KeyValue::new("network.protocol.version", *version),
            KeyValue::new("client.address", self.client_ip.to_string()),
            KeyValue::new("z2api.route", self.route),
            KeyValue::new("z2api.request_id", self.request_id.to_owned()),
        ];
        if let Some((name, port)) = host {
            all.push(KeyValue::new("server.address", name.clone()));
            all.push(KeyValue::new("server.port", i64::from(*port)));
        }
        if !self.user_agent.is_empty() {
            all.push(KeyValue::new("user_agent.original", self.user_agent.to_owned()));
        }
        // Only what went out: nobody was sent a 499.
        let sent = self.sent.map(i64::from);
        all.extend(sent.map(|status| KeyValue::new("http.response.status_code", status)));
        all.extend(self.failure.map(|kind| KeyValue::new("error.type", kind)));
        all.extend(self.model.map(|model| KeyValue::new("z2api.model", model.to_owned())));
        all.extend(self.stream.map(|stream| KeyValue::new("z2api.stream", stream)));
        let queued = self.queued.map(|queued| queued.as_secs_f64());
        all.extend(queued.map(|seconds| KeyValue::new("z2api.queue_time", seconds)));
        all
    }
}
