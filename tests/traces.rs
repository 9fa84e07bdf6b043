//! What a collector of traces is told, held against a small one of our own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use z2api_tests::{Gateway, KEY, PATIENCE};
use z2api_upstream_sim::{Script, fails_first};
use z2api_wire::event::Dialect;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Takes spans as a collector does.
struct Collector {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    /// Path, content type, and the header `x-team`.
    heads: Vec<(String, String, String)>,
    /// What is told of the service, and its spans.
    spans: Vec<(Vec<KeyValue>, Span)>,
    raw: Vec<u8>,
    /// Statuses to answer with before it takes anything.
    refusals: Vec<u16>,
}

impl Collector {
    async fn start() -> Self {
        Self::refusing(&[]).await
    }

    /// One that answers so at first.
    async fn refusing(refusals: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals = refusals.to_vec();
        let heard = Arc::new(Mutex::new(Heard { refusals, ..Heard::default() }));
        let for_all = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = for_all.clone();
                let service = service_fn(move |request| hear(heard.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, heard }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of a gateway that stops: by then they have all been sent.
    async fn spans_of(&self, gateway: Gateway) -> Vec<Span> {
        gateway.stop();
        gateway.stopped().await;
        self.heard.lock().unwrap().spans.iter().map(|(_, span)| span.clone()).collect()
    }
}

async fn hear(
    heard: Arc<Mutex<Heard>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let head = (request.uri().path().to_owned(), header("content-type"), header("x-team"));
    let body = request.into_body().collect().await?.to_bytes();
    let told = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
    let mut heard = heard.lock().unwrap();
    heard.heads.push(head);
    if let Some(status) = heard.refusals.pop() {
        // At once, it says: nobody is to believe that.
        let refusal = Response::builder().status(status).header("retry-after", "0");
        return Ok(refusal.body(Full::default()).unwrap());
    }
    heard.raw.extend_from_slice(&body);
    for of_service in told.resource_spans {
        let resource = of_service.resource.expect("a resource");
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        heard.spans.extend(spans.map(|span| (resource.attributes.clone(), span)));
    }
    Ok(Response::new(Full::default()))
}

/// An attribute's value as text.
fn text(value: Any) -> Option<String> {
    Some(match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        Any::BoolValue(flag) => flag.to_string(),
        Any::DoubleValue(number) => number.to_string(),
        Any::ArrayValue(all) => {
            let all = all.values.into_iter().filter_map(|one| text(one.value?));
            all.collect::<Vec<_>>().join(",")
        }
        _other => return None,
    })
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let one = attributes.iter().find(|one| one.key == name)?;
    text(one.value.clone()?.value?)
}

fn check(span: &Span, wanted: &[(&str, &str)]) {
    check_all(&span.attributes, wanted);
}

fn check_all(attributes: &[KeyValue], wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        let found = attribute(attributes, name);
        assert_eq!(found.as_deref(), Some(*value), "{name} of {attributes:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"a private answer"}}]}"#;

fn fine() -> Script {
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;
    Script::events([TEXT, end, "[DONE]"])
}

fn down() -> Script {
    Script::status(503, "application/json", "{}")
}

/// Asks once, as part of a caller's trace.
async fn ask(gateway: &Gateway, flags: &str) {
    let key = format!("Bearer {KEY}");
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [("authorization", key.as_str()), ("traceparent", parent.as_str())];
    let body = json!({"model": "GLM-4.5", "stream": true, "temperature": 0.5, "max_tokens": 9,
        "messages": [{"role": "user", "content": "a private question"}]});
    let body = body.to_string();
    let reply = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
    reply.text().await;
    gateway.lines("response", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_with_its_attempts_under_it() {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=of%20mine"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_SERVICE_NAME", "my gateway"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=a%20test"),
    ];
    let plan = fails_first(1, down(), fine());
    let gateway = Gateway::with(Dialect::OpenAi, plan, &variables).await;
    ask(&gateway, "01").await;
    assert_eq!(gateway.lines("response", 1).await[0]["trace_id"], TRACE);
    assert!(gateway.sim.chats().iter().all(|asked| asked.header("traceparent").is_none()));
    gateway.get("/health").await.text().await;
    let spans = collector.spans_of(gateway).await;
    let [request, failed, answered] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.into(), CALLER.into())
    );
    assert_eq!(request.kind, SpanKind::Server as i32);
    assert_eq!(request.name, "POST /v1/chat/completions");
    let answered_with = [
        ("http.request.method", "POST"),
        ("http.route", "/v1/chat/completions"),
        ("url.path", "/v1/chat/completions"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
    ];
    check(request, &answered_with);
    for attempt in [failed, answered] {
        assert_eq!(
            (&attempt.trace_id, &attempt.parent_span_id),
            (&request.trace_id, &request.span_id)
        );
        assert_eq!(attempt.kind, SpanKind::Client as i32);
        assert_eq!(attempt.name, "chat GLM-4.5");
        assert!(attempt.start_time_unix_nano >= request.start_time_unix_nano - 1_000_000);
        assert!(attempt.end_time_unix_nano <= request.end_time_unix_nano + 50_000_000);
        let asked = [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "z.ai"),
            ("gen_ai.request.model", "GLM-4.5"),
            ("gen_ai.request.max_tokens", "9"),
            ("gen_ai.request.temperature", "0.5"),
        ];
        check(attempt, &asked);
    }
    check(failed, &[("error.type", "upstream_error"), ("http.response.status_code", "503")]);
    assert_eq!(failed.status.as_ref().unwrap().code, 2, "an error");
    let told = [
        ("gen_ai.usage.input_tokens", "7"),
        ("gen_ai.usage.output_tokens", "5"),
        ("gen_ai.response.finish_reasons", "stop"),
    ];
    check(answered, &told);
    let heard = collector.heard.lock().unwrap();
    let head = ("/v1/traces".to_owned(), "application/x-protobuf".to_owned(), "of mine".to_owned());
    assert_eq!(heard.heads[0], head);
    let about = [("service.name", "my gateway"), ("deployment.environment", "a test")];
    check_all(&heard.spans[0].0, &about);
    check_all(&heard.spans[0].0, &[("telemetry.sdk.language", "rust")]);
    let raw = String::from_utf8_lossy(&heard.raw);
    assert!(!raw.contains("private") && !raw.contains(KEY) && !raw.contains("upstream-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_told_its_place_where_that_is_wanted() {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("TRACE_UPSTREAM", "true")];
    let gateway = Gateway::with(Dialect::OpenAi, fails_first(1, down(), fine()), &variables).await;
    ask(&gateway, "01").await;
    let told: Vec<String> = gateway
        .sim
        .chats()
        .iter()
        .map(|asked| asked.header("traceparent").expect("the header").to_owned())
        .collect();
    let spans = collector.spans_of(gateway).await;
    let wanted: Vec<String> =
        spans[1..].iter().map(|span| format!("00-{TRACE}-{}-01", hex(&span.span_id))).collect();
    assert_eq!(told, wanted);
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
    assert_eq!(collector.spans_of(gateway).await.len(), 2);
    let heard = collector.heard.lock().unwrap();
    assert_eq!(heard.heads[0].0, "/my/own/path");
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
    assert_eq!(counted(&gateway, "z2api_spans_sent_total").await, 2);
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
        assert_eq!(counted(&gateway, "z2api_spans_dropped_total").await, 2, "{url}");
        assert_eq!(gateway.get("/status").await.json().await["spans_dropped"], 2, "{url}");
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
    assert_eq!(counted(&gateway, "z2api_spans_dropped_total").await, 2);
    collector.heard.lock().unwrap().refusals.clear();
    ask(&gateway, "01").await;
    assert_eq!(counted(&gateway, "z2api_spans_sent_total").await, 2);
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
