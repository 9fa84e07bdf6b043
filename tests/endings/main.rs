//! However a request ends, it has one request line and one response line, and they say how.

mod by_client;
mod by_gateway;
mod by_upstream;

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, Reply};
use z2api_upstream_sim::Plan;
use z2api_wire::event::Dialect;

/// The id of the request that is looked at. Others, which make room for it or take it, have others.
const IT: &str = "it";

/// What asks the upstream.
const APIS: [&str; 4] =
    ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"];

/// Its status; and, where it failed, of which kind that is and who could have prevented it.
type Ending = (u16, Option<(&'static str, &'static str)>);

const WHOLE: Ending = (200, None);
const HUNG_UP: Ending = (499, Some(("client_hung_up", "client")));

async fn web(plan: impl Plan, variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::ZaiWeb, plan, variables).await
}

/// A question as the API at this path takes it.
fn question(path: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "x"}]);
    let (field, asked) = match path {
        "/v1/completions" => ("prompt", json!("x")),
        "/v1/responses" => ("input", json!("x")),
        "/v1/messages/count_tokens" => {
            return json!({"model": "GLM-4.5", "messages": messages});
        }
        _chats => ("messages", messages),
    };
    let limit = if path == "/v1/responses" { "max_output_tokens" } else { "max_tokens" };
    json!({"model": "GLM-4.5", "stream": stream, limit: 5, field: asked})
}

async fn post(gateway: &Gateway, path: &str, body: &str) -> Reply {
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-request-id", IT)];
    gateway.send("POST", path, &headers, body.as_bytes()).await
}

async fn ask(gateway: &Gateway, path: &str, stream: bool) -> Reply {
    post(gateway, path, &question(path, stream).to_string()).await
}

/// The lines of the request that is looked at.
fn lines(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let lines = gateway.log.lines().into_iter();
    let parsed = lines.map(|line| serde_json::from_str(&line).expect("a line is JSON"));
    parsed.filter(|line: &Value| line["type"] == kind && line["request_id"] == IT).collect()
}

/// The request has ended so, and has left one line of each kind. Its connection is gone: no more can
/// come of it.
async fn check(gateway: &Gateway, what: &str, (status, failure): Ending) {
    gateway.until(|gateway| gateway.connections() == 0 || !gateway.is_ready()).await;
    gateway.until(|gateway| !lines(gateway, "response").is_empty()).await;
    if gateway.is_ready() {
        // Lines are written in order: what was to come has come.
        gateway.send("GET", "/health/live", &[("x-request-id", "last")], b"").await.text().await;
        gateway.until(|gateway| gateway.log.lines().iter().any(|l| l.contains(r#""last""#))).await;
    }
    let (into, out) = (lines(gateway, "request"), lines(gateway, "response"));
    assert_eq!((into.len(), out.len()), (1, 1), "{what}: {into:?} {out:?}");
    let told = json!([out[0]["status_code"], out[0]["error_kind"], out[0]["error_owner"]]);
    let (kind, owner) = failure.unzip();
    assert_eq!(told, json!([status, kind, owner]), "{what}: {}", out[0]);
    assert_eq!(out[0]["error"].is_string(), failure.is_some(), "{what}: {}", out[0]);
    let is_error = status >= 500 || (status == 200 && failure.is_some());
    assert_eq!(out[0]["level"], if is_error { "ERROR" } else { "INFO" }, "{what}: {}", out[0]);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}
