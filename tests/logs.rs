//! One line in and one line out for each request, whatever becomes of it.

use serde_json::json;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

fn fine() -> Script {
    Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"tide ","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ])
}

#[tokio::test]
async fn each_request_has_one_line_in_and_one_out() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let body = json!({"model": "GLM-4.5", "stream": true, "temperature": 0.5, "max_tokens": 9,
        "messages": [{"role": "user", "content": "a-private-question"}]});
    let key = format!("Bearer {KEY}");
    let headers =
        [("authorization", key.as_str()), ("user-agent", "curl/9"), ("x-request-id", "one")];
    let reply =
        gateway.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await;
    reply.text().await;
    let out = gateway.lines("response", 1).await;
    let into = gateway.lines("request", 1).await;
    assert_eq!((into.len(), out.len()), (1, 1));
    let (into, out) = (&into[0], &out[0]);
    assert_eq!((&into["request_id"], &out["request_id"]), (&json!("one"), &json!("one")));
    assert_eq!((&into["level"], &into["client_ip"]), (&json!("INFO"), &json!("127.0.0.1")));
    assert_eq!((&into["model"], &into["user_agent"]), (&json!("GLM-4.5"), &json!("curl/9")));
    let parameters = json!({"message_count": 1,
        "parameters": {"stream": true, "temperature": 0.5, "max_tokens": 9}});
    assert_eq!(into["parameters"], parameters);
    assert_eq!(into["api_key"], "sk-t****cdef");
    assert_eq!((&out["status_code"], &out["retry_count"]), (&json!(200), &json!(0)));
    assert_eq!(
        (&out["endpoint"], &out["finish_reason"]),
        (&json!("/v1/chat/completions"), &json!("stop"))
    );
    assert!(out["response_time_ms"].is_u64() && out["time_to_first_byte_ms"].is_u64());
    let all = gateway.log.lines().join("\n");
    assert!(!all.contains(KEY) && !all.contains("a-private-question") && !all.contains("tide"));
}

#[tokio::test]
async fn a_refused_request_has_both_lines_too() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    gateway.send("POST", "/v1/chat/completions", &[], b"{}").await.text().await;
    gateway.get("/nothing").await.text().await;
    let out = gateway.lines("response", 2).await;
    let into = gateway.lines("request", 2).await;
    assert_eq!((into.len(), out.len()), (2, 2));
    assert_eq!(
        (&out[0]["status_code"], &out[0]["error"]),
        (&json!(401), &json!("invalid_api_key"))
    );
    assert_eq!((&out[1]["status_code"], &out[1]["endpoint"]), (&json!(404), &json!("/nothing")));
}

#[tokio::test]
async fn a_request_that_is_not_understood_still_says_who_sent_it() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("user-agent", "curl/9")];
    gateway.send("POST", "/v1/chat/completions", &headers, b"{").await.text().await;
    let headers = [("authorization", "Bearer sk-wrong-0123456789abcdef"), ("user-agent", "curl/9")];
    gateway.send("POST", "/v1/chat/completions", &headers, b"{}").await.text().await;
    gateway.lines("response", 2).await;
    let into = gateway.lines("request", 2).await;
    assert_eq!(
        (&into[0]["api_key"], &into[0]["user_agent"]),
        (&json!("sk-t****cdef"), &json!("curl/9"))
    );
    let stranger = (&into[1]["api_key"], &into[1]["user_agent"]);
    assert_eq!(stranger, (&json!("****"), &json!("curl/9")), "a wrong key is not logged");
}
