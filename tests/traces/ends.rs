//! How a request that does not go well stands in its trace.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::{Plan, faults, plan_fn};
use z2api_wire::event::Dialect;

use crate::collector::{Collector, attribute, check};
use crate::{ask, down, fine};

const BODY: &[u8] =
    br#"{"model":"GLM-4.5","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

async fn traced(plan: impl Plan, variables: &[(&str, &str)]) -> (Gateway, Collector) {
    let collector = Collector::start().await;
    let url = collector.url();
    let mut all = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("MAX_RETRIES", "0")];
    all.splice(0..0, variables.iter().copied());
    (Gateway::with(Dialect::OpenAi, plan, &all).await, collector)
}

/// The span ends in an error of this type, with this status or none.
fn check_error(span: &Span, kind: &str, status: Option<&str>) {
    check(span, &[("error.type", kind)]);
    assert_eq!(attribute(&span.attributes, "http.response.status_code").as_deref(), status);
    assert_eq!(span.status.as_ref().unwrap().code, 2, "{span:?}");
}

fn absent(span: &Span, names: &[&str]) {
    for name in names {
        assert!(attribute(&span.attributes, name).is_none(), "{name} of {span:?}");
    }
}

/// Nobody was sent a 499: the status is the one that went out, if one did.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_within_the_answer_had_a_status_and_no_end() {
    let (gateway, collector) = traced(fine().stall_after(1), &[]).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    let mut reply = gateway.send("POST", "/v1/chat/completions", &headers, BODY).await;
    reply.event().await.expect("the first event");
    drop(reply);
    gateway.lines("response", 1).await;
    let spans = collector.spans_of(gateway).await;
    let [request, call, attempt] = &spans[..] else { panic!("{spans:#?}") };
    check_error(request, "client_hung_up", Some("200"));
    check_error(call, "client_hung_up", None);
    check(call, &[("gen_ai.response.finish_reasons", "error"), ("gen_ai.response.id", "up-1")]);
    check_error(attempt, "client_hung_up", Some("200"));
    absent(call, &["gen_ai.usage.output_tokens"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_before_the_answer_was_sent_no_status() {
    let slow = fine().head_after(z2api_tests::PATIENCE);
    let (gateway, collector) = traced(slow, &[]).await;
    let request = z2api_tests::chat_request(true, "");
    let mut client = z2api_tests::Raw::connect(gateway.address).await;
    client.send(request).await;
    gateway.until(|gateway| gateway.sim.chats().len() == 1).await;
    drop(client);
    gateway.lines("response", 1).await;
    let spans = collector.spans_of(gateway).await;
    let [request, call, attempt] = &spans[..] else { panic!("{spans:#?}") };
    check_error(request, "client_hung_up", None);
    check_error(call, "client_hung_up", None);
    check_error(attempt, "given_up", None);
    absent(call, &["gen_ai.response.finish_reasons", "gen_ai.response.time_to_first_chunk"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_is_an_error_under_the_status_it_sent() {
    let (gateway, collector) = traced(fine().cut_after(1), &[]).await;
    ask(&gateway, "01").await;
    let spans = collector.spans_of(gateway).await;
    let [request, call, attempt] = &spans[..] else { panic!("{spans:#?}") };
    let kind = attribute(&call.attributes, "error.type").expect("a kind");
    assert!(kind.starts_with("upstream_"), "{kind}");
    check_error(request, &kind, Some("200"));
    check_error(call, &kind, None);
    check_error(attempt, &kind, Some("200"));
    check(call, &[("gen_ai.response.finish_reasons", "error")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_gets_an_answer_has_no_finish_reason() {
    let (gateway, collector) = traced(down(), &[("MAX_RETRIES", "1")]).await;
    ask(&gateway, "01").await;
    let spans = collector.spans_of(gateway).await;
    let [request, call, first, second] = &spans[..] else { panic!("{spans:#?}") };
    check_error(call, "upstream_error", None);
    absent(call, &["gen_ai.response.finish_reasons", "gen_ai.response.id"]);
    for attempt in [first, second] {
        check_error(attempt, "upstream_error", Some("503"));
    }
    let status = attribute(&request.attributes, "http.response.status_code");
    check_error(request, "upstream_error", status.as_deref());
    assert!(status.expect("a status").starts_with('5'));
}

/// The upstream refuses within an answer of status 200: that is the status that came.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_refused_within_an_answer_has_the_status_that_came() {
    let event = faults::api_error_event("1234", "oh");
    let (gateway, collector) = traced(z2api_upstream_sim::Script::events([event]), &[]).await;
    ask(&gateway, "01").await;
    let spans = collector.spans_of(gateway).await;
    let [_request, _call, attempt] = &spans[..] else { panic!("{spans:#?}") };
    let kind = attribute(&attempt.attributes, "error.type").expect("a kind");
    check_error(attempt, &kind, Some("200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_with_another_token_is_a_span_of_its_own() {
    let plan = plan_fn(|asked| match asked.bearer() {
        Some("token-one") => faults::api_error(401, "1000", "no"),
        _another => fine(),
    });
    let tokens = [("UPSTREAM_TOKEN", "token-one,token-two")];
    let (gateway, collector) = traced(plan, &tokens).await;
    ask(&gateway, "01").await;
    let spans = collector.spans_of(gateway).await;
    let [_request, call, refused, answered] = &spans[..] else { panic!("{spans:#?}") };
    check(refused, &[("z2api.token", "0"), ("http.response.status_code", "401")]);
    check(answered, &[("z2api.token", "1"), ("http.request.resend_count", "1")]);
    absent(call, &["error.type"]);
    assert_eq!(call.status.as_ref().unwrap().code, 0, "it went well in the end");
}

/// Nobody was asked, so that there is no call. That the client is at fault is no error of a server.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_at_once_is_one_span_and_no_error() {
    let good = format!("Bearer {KEY}");
    for (key, model, status, kind) in [
        ("Bearer sk-no-such-key", "GLM-4.5", "401", "invalid_api_key"),
        (good.as_str(), "no-such-model", "404", "model_not_found"),
    ] {
        let (gateway, collector) = traced(fine(), &[]).await;
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
        let headers = [("authorization", key)];
        let body = body.to_string();
        gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await.text().await;
        let spans = collector.spans_of(gateway).await;
        let [request] = &spans[..] else { panic!("{spans:#?}") };
        check(request, &[("http.response.status_code", status), ("error.type", kind)]);
        assert_eq!(request.status.as_ref().unwrap().code, 0);
        absent(request, &["z2api.queue_time"]);
    }
}

/// It asks no model.
#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_is_not_traced() {
    let (gateway, collector) = traced(fine(), &[]).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    let counted = gateway.send("POST", "/v1/messages/count_tokens", &headers, BODY).await;
    assert_eq!(counted.status, 200);
    assert!(collector.spans_of(gateway).await.is_empty());
}
