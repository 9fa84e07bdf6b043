//! Traces: the spans of a request, made from its record when it ends.
//!
//! One span is the request, by the conventions for HTTP servers. Under it stands the call of the model
//! with all its tries, by those for generative AI (operation `chat`); and under that each time that
//! the upstream was asked, by those for HTTP clients. None holds a word of a message or an answer, a
//! key, a stop word, or a path of the client's invention.

mod context;
mod export;
mod load;
mod of_call;
mod of_request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::SpanId;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SpanProcessor};
use uuid::Uuid;

pub use context::UpstreamPlace;
pub(crate) use context::{Place, new_span};
pub use of_call::{AnswerName, ModelCall};
pub(crate) use of_request::InSpans;

use export::Collector;
use load::{Load, MAX_WAITING};

/// How long the last spans may take when the process ends.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// How long spans are gathered, unless there are many.
const GATHER: Duration = Duration::from_secs(1);
/// How many are sent at once.
const BATCH: usize = 512;

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TraceSettings {
    /// The collector's URL for traces, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Further headers of its requests. They may hold a secret.
    pub headers: Headers,
    /// How long a batch may take, with all repetitions. Default: 10 s.
    pub timeout: Duration,
    /// What the gateway calls itself. Default: `z2api`.
    pub service: String,
    /// What else is told of the gateway, as names and values.
    pub resource: Vec<(String, String)>,
    /// Whether a caller's choice to record or not is kept. Default: yes.
    pub parent_based: bool,
    /// Which part of the others is recorded, from 0 to 1. Default: 1.
    pub ratio: f64,
    /// Whether the upstream is told its place in the trace. Default: no.
    pub tell_upstream: bool,
}

/// Names and values. The values are in no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl TraceSettings {
    /// The defaults, with this endpoint.
    pub fn to(endpoint: String) -> Self {
        Self {
            endpoint,
            headers: Headers::default(),
            timeout: Duration::from_secs(10),
            service: "z2api".to_owned(),
            resource: Vec::new(),
            parent_based: true,
            ratio: 1.0,
            tell_upstream: false,
        }
    }

    fn sampler(&self) -> Sampler {
        let ratio = match self.ratio {
            all if all >= 1.0 => Sampler::AlwaysOn,
            none if none <= 0.0 => Sampler::AlwaysOff,
            part => Sampler::TraceIdRatioBased(part),
        };
        match self.parent_based {
            true => Sampler::ParentBased(Box::new(ratio)),
            false => ratio,
        }
    }

    /// What is told of the gateway beside its spans. The service's name is the one of its own setting;
    /// the rest may be given. Replicas differ by the instance's id, which is made up at each start.
    fn about(&self) -> Resource {
        let given = self.resource.iter().cloned().map(|(name, value)| KeyValue::new(name, value));
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let instance = KeyValue::new("service.instance.id", Uuid::new_v4().to_string());
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes([version, instance])
            .with_attributes(given)
            .with_service_name(self.service.clone())
            .build()
    }
}

/// Takes the spans of requests and sends them on, from a thread of its own. Bounded: what a slow
/// collector cannot take is dropped, counted and told in the log. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    inner: Arc<Inner>,
}

struct Inner {
    spans: BatchSpanProcessor,
    load: Arc<Load>,
    sampler: Sampler,
    scope: InstrumentationScope,
    tell_upstream: bool,
}

impl Tracer {
    /// Starts the sending.
    ///
    /// # Errors
    /// What is wrong with the endpoint or a header.
    pub fn start(settings: &TraceSettings) -> Result<Self, String> {
        let load = Arc::<Load>::default();
        let collector = Collector::new(settings, &settings.about(), load.clone())?;
        // All told here: what it would read in the environment is not heeded.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(GATHER)
            .build();
        let version = env!("CARGO_PKG_VERSION");
        Ok(Self {
            inner: Arc::new(Inner {
                spans: BatchSpanProcessor::new(collector, batches),
                load,
                sampler: settings.sampler(),
                scope: InstrumentationScope::builder("z2api").with_version(version).build(),
                tell_upstream: settings.tell_upstream,
            }),
        })
    }

    /// The place of a new request, under the one that its `traceparent` and `tracestate` name.
    pub(crate) fn place(&self, parent: Option<&str>, state: Option<&str>) -> Place {
        context::place(&self.inner.sampler, parent, state)
    }

    /// The place of an attempt, if the upstream is to be told.
    pub(crate) fn for_upstream(&self, place: &Place, attempt: SpanId) -> Option<UpstreamPlace> {
        self.inner.tell_upstream.then(|| place.upstream(attempt))
    }

    /// A request has ended.
    pub(crate) fn ended(&self, place: &Place, request: &InSpans<'_>) {
        if place.is_sampled() && self.inner.load.enter(request.count()) {
            for span in request.spans(place, &self.inner.scope) {
                self.inner.spans.on_end(span);
            }
        }
    }

    /// How many spans the collector has taken, and how many were dropped.
    pub fn counts(&self) -> (u64, u64) {
        self.inner.load.counts()
    }

    /// Sends what is left, for two seconds at most. Blocks.
    pub fn finish(&self) {
        // A collector that does not answer must not hold up the end.
        let _ = self.inner.spans.shutdown_with_timeout(LAST_SPANS);
        self.inner.load.end();
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}
