//! What a collector of traces is told, held against a small one of our own.

mod calls;
mod collector;
mod context;
mod ends;
mod sending;

use serde_json::json;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::Script;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const TEXT: &str = r#"{"id":"up-1","model":"glm-4.5-of-july","choices":[{"index":0,"delta":{"content":"a private answer"}}]}"#;

fn fine() -> Script {
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    Script::events([TEXT, end, "[DONE]"])
}

fn down() -> Script {
    Script::status(503, "application/json", "{}")
}

/// Asks once, as part of a caller's trace.
async fn ask(gateway: &Gateway, flags: &str) {
    let key = format!("Bearer {KEY}");
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [
        ("authorization", key.as_str()),
        ("traceparent", parent.as_str()),
        ("tracestate", "one=1"),
        ("tracestate", "two=2"),
        ("user-agent", "a client/1"),
    ];
    let body = json!({"model": "GLM-4.5", "stream": true, "temperature": 0.5, "max_tokens": 9,
        "top_p": 0.25, "messages": [{"role": "user", "content": "a private question"}]});
    let body = body.to_string();
    let reply = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
    reply.text().await;
    gateway.lines("response", 1).await;
}
