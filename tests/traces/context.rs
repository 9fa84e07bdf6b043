//! Where a request stands in a trace, and whether it is recorded.

use opentelemetry_proto::tonic::trace::v1::Span;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::fails_first;
use z2api_wire::event::Dialect;

use crate::collector::{Collector, hex};
use crate::{CALLER, TRACE, ask, down, fine};

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_told_its_place_where_that_is_wanted() {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("TRACE_UPSTREAM", "true")];
    let gateway = Gateway::with(Dialect::OpenAi, fails_first(1, down(), fine()), &variables).await;
    ask(&gateway, "01").await;
    let chats = gateway.sim.chats();
    let header = |name| {
        let told = chats.iter().map(|asked| asked.header(name).expect("the header").to_owned());
        told.collect::<Vec<_>>()
    };
    assert_eq!(header("tracestate"), ["one=1,two=2"; 2]);
    let spans = collector.spans_of(gateway).await;
    let attempts: Vec<&Span> =
        spans.iter().filter(|span| span.name.starts_with("POST /api")).collect();
    let wanted: Vec<String> =
        attempts.iter().map(|span| format!("00-{TRACE}-{}-01", hex(&span.span_id))).collect();
    assert_eq!((header("traceparent"), wanted.len()), (wanted, 2));
    assert!(spans.iter().all(|span| span.trace_state == "one=1,two=2"));
}

/// Who names two parents names none.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_names_two_parents_begins_a_trace() {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    let (key, parent) = (format!("Bearer {KEY}"), format!("00-{TRACE}-{CALLER}-01"));
    let parent = ("traceparent", parent.as_str());
    let headers = [("authorization", key.as_str()), parent, parent];
    let body = br#"{"model":"GLM-4.5","messages":[{"role":"user","content":"Hi"}]}"#;
    gateway.send("POST", "/v1/chat/completions", &headers, body).await.text().await;
    let spans = collector.spans_of(gateway).await;
    assert!(spans[0].parent_span_id.is_empty() && hex(&spans[0].trace_id) != TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampler_decides_which_requests_are_traced() {
    for (sampler, part, flags, traced) in [
        ("parentbased_always_on", "", "00", false),
        ("always_on", "", "00", true),
        ("always_off", "", "01", false),
        ("parentbased_always_off", "", "01", true),
        ("traceidratio", "0", "01", false),
        ("traceidratio", "1", "00", true),
    ] {
        let collector = Collector::start().await;
        let url = collector.url();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", part),
        ];
        let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
        ask(&gateway, flags).await;
        let spans = collector.spans_of(gateway).await;
        assert_eq!(!spans.is_empty(), traced, "{sampler} {part} {flags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_nothing_is_traced() {
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &[("TRACE_UPSTREAM", "true")]).await;
    ask(&gateway, "01").await;
    assert!(gateway.lines("response", 1).await[0].get("trace_id").is_none());
    assert!(gateway.sim.chats()[0].header("traceparent").is_none());
}
