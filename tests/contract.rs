//! What clients and operators rely on: shapes, headers, names.

use serde_json::{Value, json};
use z2api_stream_transform::ModelTable;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::Script;
use z2api_upstream_sim::text::Answer;
use z2api_wire::event::Dialect;

fn answer() -> Script {
    let answer = Answer {
        thinking: "The moon pulls.".to_owned(),
        text: "Tides follow the moon.".to_owned(),
        piece: 4,
        usage: (11, 22),
    };
    Script::events(answer.web_events())
}

async fn gateway() -> Gateway {
    Gateway::start(Dialect::ZaiWeb, answer()).await
}

fn is_request_id(id: &str) -> bool {
    let hex = |digits: &str| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    id.strip_prefix("req_").is_some_and(hex)
}

#[tokio::test]
async fn a_stream_is_made_of_the_chunks_that_openai_sends() {
    let gateway = gateway().await;
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
    let reply = gateway.chat("glm-4.5-THINKING", fields).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    assert!(is_request_id(reply.header("x-request-id").unwrap()));
    let events = reply.events().await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let chunks: Vec<Value> =
        chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let (usage, chunks) = chunks.split_last().unwrap();
    let (last, deltas) = chunks.split_last().unwrap();
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    for chunk in chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        assert_eq!(chunk["created"], chunks[0]["created"]);
        assert_eq!(chunk["model"], "glm-4.5-THINKING", "the name the client asked for");
        assert_eq!(chunk.get("usage"), Some(&Value::Null));
        assert_eq!(chunk["choices"][0]["index"], 0);
    }
    assert!(chunks[0]["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(
        deltas.iter().all(|chunk| chunk["choices"][0].get("finish_reason") == Some(&Value::Null))
    );
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["prompt_tokens"], 11);
    assert_eq!(usage["usage"]["total_tokens"], 33);
    let content: String = deltas
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(content, "<think>\nThe moon pulls.\n</think>\n\nTides follow the moon.");
}

#[tokio::test]
async fn usage_is_not_streamed_unless_it_is_asked_for() {
    let gateway = gateway().await;
    for fields in [json!({"stream": true}), json!({"stream": true, "stream_options": {}})] {
        let events = gateway.chat("GLM-4.5", fields).await.events().await;
        assert!(events.iter().all(|event| !event.contains("usage")), "{events:?}");
    }
}

#[tokio::test]
async fn a_whole_answer_is_a_completion() {
    let gateway = gateway().await;
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let body = reply.json().await;
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["message"]["role"], "assistant");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33})
    );
    let again = gateway.chat("GLM-4.5", json!({"stream": false})).await.json().await;
    assert_ne!(again["id"], body["id"]);
}

#[tokio::test]
async fn the_thinking_mode_is_the_settings_unless_the_request_says_otherwise() {
    let gateway =
        Gateway::with(Dialect::ZaiWeb, answer(), &[("THINK_TAGS_MODE", "reasoning")]).await;
    let message = |body: Value| body["choices"][0]["message"].clone();
    let set = message(gateway.chat("GLM-4.5", json!({})).await.json().await);
    assert_eq!(set["reasoning_content"], "The moon pulls.");
    assert_eq!(set["content"], "Tides follow the moon.");
    let field = json!({"reasoning_format": "strip"});
    let stripped = message(gateway.chat("GLM-4.5", field).await.json().await);
    assert_eq!(stripped.get("reasoning_content"), None);
    let body = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}]});
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-z2api-think-mode", "think")];
    let path = "/v1/chat/completions";
    let reply = gateway.send("POST", path, &headers, body.to_string().as_bytes()).await;
    let tagged = message(reply.json().await);
    assert!(
        tagged["content"].as_str().unwrap().starts_with("<think>\nThe moon pulls.\n</think>\n\n")
    );
    let wrong = gateway.chat("GLM-4.5", json!({"reasoning_format": "loud"})).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json().await["error"]["param"], "reasoning_format");
}

#[tokio::test]
async fn a_stop_word_ends_the_answer_though_the_upstream_goes_on() {
    let gateway = gateway().await;
    let fields = json!({"stop": ["follow", "never"], "reasoning_format": "strip"});
    let body = gateway.chat("GLM-4.5", fields).await.json().await;
    assert_eq!(body["choices"][0]["message"]["content"], "Tides ");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn health_has_the_fields_of_old_and_needs_no_key() {
    let gateway = Gateway::with(
        Dialect::ZaiWeb,
        answer(),
        &[("RANDOM_DELAY_MIN", "7"), ("RANDOM_DELAY_MAX", "19"), ("MAX_RETRIES", "2")],
    )
    .await;
    let reply = gateway.get("/health").await;
    assert_eq!(reply.status, 200);
    let health = reply.json().await;
    assert_eq!(health["status"], "ok");
    for text in ["timestamp", "version", "build_date", "description"] {
        assert!(health[text].is_string(), "{text}");
    }
    assert_eq!(health["performance_mode"], "balanced");
    let config = json!({
        "max_retries": 2, "retry_delay": 0, "request_timeout": 120_000, "random_delay": "7-19ms",
        "max_concurrent_connections": 1000, "stream_buffer_size": 16384,
        "connection_check_enabled": true,
    });
    assert_eq!(health["config"], config);
    for count in ["total_requests", "average_response_time", "error_rate", "current_connections"] {
        assert!(health["stats"][count].is_u64(), "{count}");
    }
    assert!(health["improvements"].as_array().unwrap().iter().all(Value::is_string));
}

#[tokio::test]
async fn status_counts_chat_requests_and_their_errors() {
    let gateway = gateway().await;
    gateway.chat("GLM-4.5", json!({})).await.text().await;
    gateway.chat("no-such-model", json!({})).await.text().await;
    gateway.send("POST", "/v1/chat/completions", &[], b"{}").await.text().await;
    gateway.get("/health").await.text().await;
    gateway.lines("response", 4).await;
    let status = gateway.get("/status").await.json().await;
    assert_eq!((&status["total_requests"], &status["error_count"]), (&json!(3), &json!(2)));
    assert_eq!(
        (&status["current_connections"], &status["max_connections"]),
        (&json!(0), &json!(1000))
    );
    assert_eq!(status["memory_limit_mb"], 2048);
    assert!(status["memory_usage_mb"].as_u64().unwrap() > 0);
    assert!(status["uptime_seconds"].is_u64());
    let stats = gateway.get("/health").await.json().await["stats"].clone();
    assert_eq!((&stats["total_requests"], &stats["error_rate"]), (&json!(3), &json!(66)));
}

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let gateway = gateway().await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    let list = gateway.send("GET", "/v1/models", &headers, b"").await.json().await;
    assert_eq!(list["object"], "list");
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    let table = ModelTable::built_in();
    assert_eq!(ids, table.iter().map(|model| model.name.as_str()).collect::<Vec<_>>());
    assert!(["GLM-4.5", "GLM-4.5-Thinking", "GLM-4.5-Search"].iter().all(|id| ids.contains(id)));
    let one = gateway.send("GET", "/v1/models/glm-4.5-search", &headers, b"").await;
    assert_eq!(one.status, 200);
    let one = one.json().await;
    assert_eq!((&one["id"], &one["object"]), (&json!("GLM-4.5-Search"), &json!("model")));
    assert!(one["created"].is_u64() && one["owned_by"].is_string());
    let none = gateway.send("GET", "/v1/models/gpt-4", &headers, b"").await;
    assert_eq!(none.status, 404);
    assert_eq!(none.json().await["error"]["code"], "model_not_found");
    assert_eq!(gateway.get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn a_model_tells_its_size_where_it_is_known_with_or_without_v1() {
    let gateway = gateway().await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    let [with, without] = ["/v1/models", "/models"]
        .map(|path| async { gateway.send("GET", path, &headers, b"").await.json().await });
    let list = with.await;
    assert_eq!(list, without.await, "nothing in it changes from call to call");
    let of = |id: &str| {
        let models = list["data"].as_array().unwrap();
        models.iter().find(|model| model["id"] == id).unwrap().clone()
    };
    let model = of("GLM-4.6-Thinking");
    assert_eq!(
        (&model["context_length"], &model["max_output_tokens"]),
        (&json!(200_000), &json!(128_000))
    );
    assert_eq!(of("Z1-32B").get("context_length"), None, "not known, not told");
    let one = gateway.send("GET", "/models/GLM%2D4.6-Thinking", &headers, b"").await;
    assert_eq!(one.json().await, model);
    let chat = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}]});
    let reply =
        gateway.send("POST", "/chat/completions", &headers, chat.to_string().as_bytes()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_names_back_what_was_asked() {
    let gateway = gateway().await;
    for path in ["/v1/chat/completions", "/v1/models", "/v1/models/GLM-4.5", "/health", "/status"] {
        let asked = [
            ("origin", "https://chat.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, x-stainless-new, x-my-own"),
        ];
        let reply = gateway.send("OPTIONS", path, &asked, b"").await;
        assert_eq!(reply.status, 204, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let allowed = reply.header("access-control-allow-headers").unwrap();
        for name in [
            "authorization",
            "content-type",
            "x-api-key",
            "anthropic-version",
            "x-stainless-new",
            "x-my-own",
        ] {
            assert!(allowed.split(", ").any(|known| known == name), "{name} in {allowed}");
        }
        assert!(reply.header("access-control-allow-methods").unwrap().contains("OPTIONS"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn listed_origins_are_named_back_and_others_are_not() {
    let listed = [("CORS_ALLOW_ORIGINS", "https://a.example, https://b.example")];
    let gateway = Gateway::with(Dialect::ZaiWeb, answer(), &listed).await;
    let ours = gateway.send("GET", "/health", &[("origin", "https://b.example")], b"").await;
    assert_eq!(ours.header("access-control-allow-origin"), Some("https://b.example"));
    assert_eq!(ours.header("vary"), Some("Origin"));
    let theirs = gateway.send("GET", "/nothing", &[("origin", "https://c.example")], b"").await;
    assert_eq!(theirs.header("access-control-allow-origin"), None);
    assert_eq!(theirs.header("vary"), Some("Origin"));
}

#[tokio::test]
async fn the_clients_request_id_is_taken_if_it_is_harmless() {
    let gateway = gateway().await;
    let reply = gateway.send("GET", "/health", &[("x-request-id", "mine-1.2_3")], b"").await;
    assert_eq!(reply.header("x-request-id"), Some("mine-1.2_3"));
    for bad in ["with space", "semi;colon", &"x".repeat(65)] {
        let reply = gateway.send("GET", "/health", &[("x-request-id", bad)], b"").await;
        assert!(is_request_id(reply.header("x-request-id").unwrap()), "{bad}");
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let gateway = gateway().await;
    let reply = gateway.send("HEAD", "/health", &[], b"").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text().await, "");
}
