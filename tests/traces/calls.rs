//! What the spans of an answered request tell: of the request, of the call of the model, and of each
//! attempt.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use z2api_tests::{Gateway, KEY, web};
use z2api_upstream_sim::fails_first;
use z2api_wire::event::Dialect;

use crate::collector::{Collector, attribute, check, check_all, hex};
use crate::{CALLER, TRACE, ask, down, fine};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_with_the_call_under_it_and_the_attempts_under_that() {
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
    let (port, upstream) =
        (gateway.address.port().to_string(), gateway.sim.addr().port().to_string());
    let upstream_url = gateway.sim.openai_url();
    let spans = collector.spans_of(gateway).await;
    let [request, call, failed, answered] = &spans[..] else { panic!("{spans:#?}") };
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
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "a client/1"),
        ("z2api.model", "GLM-4.5"),
        ("z2api.stream", "true"),
    ];
    check(request, &answered_with);
    check_call(call, request, &upstream);
    for (attempt, number) in [(failed, "1"), (answered, "2")] {
        check_under(attempt, call);
        assert_eq!(attempt.name, "POST /api/paas/v4/chat/completions");
        let asked = [
            ("http.request.method", "POST"),
            ("url.full", upstream_url.as_str()),
            ("server.address", "127.0.0.1"),
            ("server.port", upstream.as_str()),
            ("z2api.attempt", number),
        ];
        check(attempt, &asked);
        assert!(attribute(&attempt.attributes, "gen_ai.operation.name").is_none(), "one call");
    }
    check(failed, &[("error.type", "upstream_error"), ("http.response.status_code", "503")]);
    assert_eq!(failed.status.as_ref().unwrap().code, 2, "an error");
    check(answered, &[("http.request.resend_count", "1"), ("http.response.status_code", "200")]);
    assert!(attribute(&failed.attributes, "http.request.resend_count").is_none());
    assert_eq!(answered.status.as_ref().unwrap().code, 0);
    let heard = collector.heard.lock().unwrap();
    let agent = concat!("z2api/", env!("CARGO_PKG_VERSION"));
    assert_eq!(heard.heads[0], ["/v1/traces", "application/x-protobuf", agent, "of mine"]);
    let about = [("service.name", "my gateway"), ("deployment.environment", "a test")];
    check_all(&heard.spans[0].0, &about);
    let version = ("service.version", env!("CARGO_PKG_VERSION"));
    check_all(&heard.spans[0].0, &[version, ("telemetry.sdk.language", "rust")]);
    let instance = attribute(&heard.spans[0].0, "service.instance.id");
    assert!(instance.is_some_and(|id| id.len() == 36), "a UUID");
    let raw = String::from_utf8_lossy(&heard.raw);
    assert!(!raw.contains("private") && !raw.contains(KEY) && !raw.contains("upstream-token"));
}

fn check_call(call: &Span, request: &Span, upstream: &str) {
    check_under(call, request);
    assert_eq!(call.name, "chat glm-4.5");
    let told = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "z.ai"),
        ("gen_ai.request.model", "glm-4.5"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.request.max_tokens", "9"),
        ("gen_ai.request.temperature", "0.5"),
        ("gen_ai.request.top_p", "0.25"),
        ("server.address", "127.0.0.1"),
        ("server.port", upstream),
        ("gen_ai.response.id", "up-1"),
        ("gen_ai.response.model", "glm-4.5-of-july"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.usage.input_tokens", "7"),
        ("gen_ai.usage.output_tokens", "5"),
        ("gen_ai.usage.cache_read.input_tokens", "3"),
        ("gen_ai.usage.reasoning.output_tokens", "2"),
    ];
    check(call, &told);
    let first = attribute(&call.attributes, "gen_ai.response.time_to_first_chunk").unwrap();
    let whole = (call.end_time_unix_nano - call.start_time_unix_nano) as f64 / 1e9;
    assert!((0.0..=whole).contains(&first.parse().unwrap()), "{first} of {whole} s");
}

/// It is a client's span under the other, and within its time.
fn check_under(span: &Span, above: &Span) {
    assert_eq!((&span.trace_id, &span.parent_span_id), (&above.trace_id, &above.span_id));
    assert_eq!(span.kind, SpanKind::Client as i32);
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    assert!(span.start_time_unix_nano >= above.start_time_unix_nano - 1_000_000);
    assert!(span.end_time_unix_nano <= above.end_time_unix_nano + 1_000_000);
}

/// Each API asks the same of the upstream: a chat, as a stream.
#[tokio::test(flavor = "multi_thread")]
async fn the_call_is_the_same_whatever_api_the_client_speaks() {
    let user = json!([{"role": "user", "content": "a private question"}]);
    for (path, route, body) in [
        ("/v1/chat/completions", "chat_completions", json!({"messages": user})),
        ("/v1/completions", "completions", json!({"prompt": "a private question"})),
        ("/v1/messages", "messages", json!({"messages": user})),
        ("/v1/responses", "responses", json!({"input": "a private question"})),
    ] {
        for stream in [true, false] {
            let mut body = body.clone();
            body["model"] = "GLM-4.5".into();
            body["stream"] = stream.into();
            let most = if route == "responses" { "max_output_tokens" } else { "max_tokens" };
            body[most] = 9.into();
            let spans = spans_of(path, &body).await;
            let [request, call, attempt] = &spans[..] else { panic!("{path} {spans:#?}") };
            assert_eq!(request.name, format!("POST {path}"));
            let stream = stream.to_string();
            let told = [
                ("z2api.route", route),
                ("z2api.stream", &stream),
                ("http.response.status_code", "200"),
            ];
            check(request, &told);
            let asked = [
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.request.model", "glm-4.5"),
                ("gen_ai.request.stream", "true"),
                ("gen_ai.request.max_tokens", "9"),
                ("gen_ai.response.id", "up-1"),
                ("gen_ai.response.finish_reasons", "stop"),
                ("gen_ai.usage.output_tokens", "5"),
            ];
            check(call, &asked);
            check(attempt, &[("http.response.status_code", "200")]);
            for span in &spans {
                assert_eq!(span.status.as_ref().unwrap().code, 0, "{path} {span:?}");
                assert!(attribute(&span.attributes, "error.type").is_none(), "{path} {span:?}");
            }
        }
    }
}

async fn spans_of(path: &str, body: &serde_json::Value) -> Vec<Span> {
    let collector = Collector::start().await;
    let url = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    gateway.send("POST", path, &headers, body.to_string().as_bytes()).await.text().await;
    collector.spans_of(gateway).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_the_one_behind_the_url() {
    for (dialect, path, provider, plan) in [
        (Dialect::ZaiWeb, "/api/chat/completions", "z.ai", web::fine()),
        (Dialect::OpenAi, "/api/paas/v4/chat/completions", "z.ai", fine()),
        (Dialect::OpenAi, "/v1/chat/completions", "openai", fine()),
    ] {
        let collector = Collector::start().await;
        let behind = Gateway::start(dialect, plan).await;
        let (url, chats) = (collector.url(), format!("http://{}{path}", behind.sim.addr()));
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("UPSTREAM_URL", chats.as_str())];
        let gateway = Gateway::with(dialect, fine(), &variables).await;
        ask(&gateway, "01").await;
        let spans = collector.spans_of(gateway).await;
        check(&spans[1], &[("gen_ai.provider.name", provider)]);
        check(&spans[2], &[("url.template", path), ("url.full", chats.as_str())]);
    }
}
