//! Where a request stands in a trace: W3C's Trace Context, in and out.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};

/// A request's place in a trace.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) context: SpanContext,
    /// The caller's span; invalid without one.
    pub(super) parent: SpanId,
    /// The span of the call of the model, under its own.
    pub(super) call: SpanId,
}

/// A place in a trace for the upstream, as the headers of W3C's Trace Context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamPlace {
    /// The value of `traceparent`.
    pub parent: String,
    /// The value of `tracestate`: the caller's, if it gave one.
    pub state: Option<String>,
}

/// The headers that tell a place.
struct Told<'a> {
    parent: Option<&'a str>,
    state: Option<&'a str>,
}

impl Extractor for Told<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "traceparent" => self.parent,
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// A place of its own, under the caller's if that is told in proper form.
pub(super) fn place(sampler: &Sampler, parent: Option<&str>, state: Option<&str>) -> Place {
    let told = Told { parent, state };
    let around = TraceContextPropagator::new().extract_with_context(&Context::new(), &told);
    let caller = around.span().span_context().clone();
    let trace = match caller.is_valid() {
        true => caller.trace_id(),
        false => TraceId::from_bytes(rand::random()),
    };
    let sampled =
        sampler.should_sample(Some(&around), trace, "request", &SpanKind::Server, &[], &[]);
    let flags = match sampled.decision {
        SamplingDecision::RecordAndSample => TraceFlags::SAMPLED,
        SamplingDecision::RecordOnly | SamplingDecision::Drop => TraceFlags::default(),
    };
    Place {
        context: SpanContext::new(trace, new_span(), flags, false, sampled.trace_state),
        parent: caller.span_id(),
        call: new_span(),
    }
}

/// A random id. That it is none has a chance of one in 2^64.
pub(crate) fn new_span() -> SpanId {
    SpanId::from_bytes(rand::random())
}

impl Place {
    pub(crate) fn is_sampled(&self) -> bool {
        self.context.is_sampled()
    }

    /// The trace's id, in hex.
    pub(crate) fn trace_id(&self) -> String {
        self.context.trace_id().to_string()
    }

    /// What whoever is asked in a span under this one is told.
    pub(super) fn upstream(&self, span: SpanId) -> UpstreamPlace {
        let flags = u8::from(self.is_sampled());
        let parent = format!("00-{}-{span}-{flags:02x}", self.context.trace_id());
        let state = self.context.trace_state().header();
        UpstreamPlace { parent, state: (!state.is_empty()).then_some(state) }
    }

    /// A place in the same trace.
    pub(super) fn with_span(&self, span: SpanId) -> SpanContext {
        let (flags, state) = (self.context.trace_flags(), self.context.trace_state().clone());
        SpanContext::new(self.context.trace_id(), span, flags, false, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn parent(flags: &str) -> String {
        format!("00-{TRACE}-b7ad6b7169203331-{flags}")
    }

    fn parent_based(otherwise: Sampler) -> Sampler {
        Sampler::ParentBased(Box::new(otherwise))
    }

    #[test]
    fn a_callers_trace_goes_on_and_its_choice_is_kept() {
        for (flags, sampled) in [("01", true), ("00", false)] {
            for otherwise in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
                let place = place(&parent_based(otherwise), Some(&parent(flags)), Some("a=b"));
                assert_eq!((place.trace_id().as_str(), place.is_sampled()), (TRACE, sampled));
                assert_eq!(place.parent.to_string(), "b7ad6b7169203331");
                let UpstreamPlace { parent, state } = place.upstream(new_span());
                assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with(flags));
                assert_eq!(state.as_deref(), Some("a=b"));
            }
        }
    }

    #[test]
    fn a_caller_that_tells_nothing_proper_begins_a_trace() {
        let zeros = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let long = format!("{}-more", parent("01"));
        for told in [None, Some(""), Some("junk"), Some(zeros.as_str()), Some(long.as_str())] {
            let place = place(&parent_based(Sampler::AlwaysOn), told, None);
            assert!(place.is_sampled() && place.trace_id() != TRACE, "{told:?}");
            assert_eq!(place.parent, SpanId::INVALID);
        }
        assert!(!place(&parent_based(Sampler::AlwaysOff), None, None).is_sampled());
    }
}
