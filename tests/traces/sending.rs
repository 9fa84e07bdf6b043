//! How spans reach the collector, and what becomes of them where it is busy, away or silent.

use std::time::Duration;

use tokio::net::TcpListener;
use z2api_tests::{Gateway, PATIENCE, Raw, answers};
use z2api_wire::event::Dialect;

use crate::collector::{Collector, attribute, check_all};
use crate::{CALLER, TRACE, ask, fine};

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_of_traces_alone_is_taken_as_it_is() {
    let collector = Collector::start().await;
    let whole = format!("{}/my/own/path", collector.url());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole.as_str()),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=of%20the%20resource"),
    ];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    ask(&gateway, "01").await;
    assert_eq!(collector.spans_of(gateway).await.len(), 3);
    let heard = collector.heard.lock().unwrap();
    assert_eq!(heard.heads[0][0], "/my/own/path");
    check_all(&heard.spans[0].0, &[("service.name", "of the resource")]);
}

/// The value of a counter in the metrics, once it is not 0.
async fn counted(gateway: &Gateway, name: &str) -> u64 {
    let counting = async {
        loop {
            let scrape = gateway.get("/metrics").await.text().await;
            let value = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let value = value.expect("the counter").parse().unwrap();
            if value > 0 {
                break value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.expect("it is counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_gets_its_spans_a_little_later() {
    let collector = Collector::refusing(&[503, 429]).await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    ask(&gateway, "01").await;
    assert_eq!(counted(&gateway, "z2api_spans_sent_total").await, 3);
    assert_eq!(gateway.get("/status").await.json().await["spans_dropped"], 0);
    assert_eq!(collector.heard.lock().unwrap().heads.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_is_away_or_is_silent_costs_spans_which_are_counted() {
    let refusing = Collector::refusing(&[400; 9]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for url in [refusing.url().as_str(), "http://127.0.0.1:1", silent_url.as_str()] {
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
        let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
        ask(&gateway, "01").await;
        assert_eq!(counted(&gateway, "z2api_spans_dropped_total").await, 3, "{url}");
        assert_eq!(gateway.get("/status").await.json().await["spans_dropped"], 3, "{url}");
    }
}

/// It is asked again more and more rarely all the same, and once it is well, what comes then arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_wants_to_be_asked_again_at_once_is_not_asked_without_end() {
    let collector = Collector::refusing(&[503; 500]).await;
    let url = collector.url();
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    ask(&gateway, "01").await;
    assert_eq!(counted(&gateway, "z2api_spans_dropped_total").await, 3);
    collector.heard.lock().unwrap().refusals.clear();
    ask(&gateway, "01").await;
    assert_eq!(counted(&gateway, "z2api_spans_sent_total").await, 3);
}

/// Spans that wait are counted, so each must be small, whatever a client makes up without a key.
#[tokio::test(flavor = "multi_thread")]
async fn no_client_makes_a_span_large() {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    let (long, parent) = ("a".repeat(10_000), format!("00-{TRACE}-{CALLER}-01"));
    let short = format!("b={}", "c".repeat(200));
    let state = vec![short.as_str(); 40].join(",");
    let head = format!(
        "POST /v1/chat/completions?{query} HTTP/1.1\r\nhost: {long}\r\nuser-agent: {long}\r\n\
         x-request-id: {long}\r\nauthorization: Bearer {long}\r\ntraceparent: {parent}\r\n\
         tracestate: first=1\r\ntracestate: {state}\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n",
        query = &long[..5000],
    );
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(head).await;
    assert_eq!(answers(&peer.to_the_end().await)[0].status, 401);
    let spans = collector.spans_of(gateway).await;
    assert_eq!(spans.len(), 1);
    assert_eq!(attribute(&spans[0].attributes, "server.address"), None);
    assert!(spans[0].trace_state.starts_with("first=1,b="), "{}", spans[0].trace_state);
    let bytes = collector.heard.lock().unwrap().raw.len();
    assert!((500..3000).contains(&bytes), "{bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_costs_no_request_and_no_long_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    for _ in 0..3 {
        ask(&gateway, "01").await;
    }
    gateway.stop();
    tokio::time::timeout(PATIENCE, gateway.stopped()).await.expect("it stops");
}
