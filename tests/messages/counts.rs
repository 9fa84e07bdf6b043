//! Stop sequences, counts and estimates, rates, and the list of models.

use serde_json::{Value, json};
use z2api_config::keygen;
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{answer, ask, message_of, post};

#[tokio::test]
async fn a_stop_sequence_is_named_and_the_upstream_is_not_told_it() {
    let script = answer("one END two").event_by_event();
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    for stream in [true, false] {
        for (words, met) in [(vec!["END", "X"], "END"), (vec!["one END two"], "one END two")] {
            let fields = json!({"stream": stream, "stop_sequences": words});
            let message = message_of(ask(&gateway, fields).await, stream).await;
            assert_eq!(message["stop_reason"], "stop_sequence");
            assert_eq!(message["stop_sequence"], met);
            let text = if met == "END" { json!("one ") } else { Value::Null };
            assert_eq!(message["content"][0]["text"], text);
        }
        let many: Vec<String> = (0..200).map(|n| format!("<{n}>")).collect();
        let fields = json!({"stream": stream, "stop_sequences": many});
        let message = message_of(ask(&gateway, fields).await, stream).await;
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("end_turn"), &Value::Null)
        );
    }
    assert!(gateway.sim.chats().iter().all(|chat| chat.json().get("stop").is_none()));
}

#[tokio::test]
async fn usage_is_the_upstreams_or_says_that_it_is_estimated() {
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 3}});
    let chunk = |text: &str, usage: &Value| {
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}],
            "usage": usage})
        .to_string()
    };
    let told = json!({"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 3}});
    let estimated = json!({"input_tokens": 9, "output_tokens": 2, "estimated": true});
    let known = Script::events([chunk("12345678 END", &usage), "[DONE]".to_owned()]);
    let unknown = Script::events([chunk("12345678", &Value::Null), "[DONE]".to_owned()]);
    // The stop word comes before the upstream has counted.
    let cut = Script::events([chunk("12345678END", &Value::Null), chunk("", &usage)]);
    let gateway = Gateway::start(Dialect::OpenAi, unknown.clone()).await;
    for stream in [true, false] {
        for (script, expected) in [(&known, &told), (&unknown, &estimated), (&cut, &estimated)] {
            gateway.sim.set_plan(script.clone());
            let words = if std::ptr::eq(script, &cut) { json!(["END"]) } else { json!([]) };
            let reply = ask(&gateway, json!({"stream": stream, "stop_sequences": words})).await;
            let header = stream.then_some("message_start.message.usage.input_tokens");
            assert_eq!(reply.header("x-z2api-estimate"), header);
            assert_eq!(message_of(reply, stream).await["usage"], *expected);
        }
    }
}

#[tokio::test]
async fn tokens_are_estimated_without_asking_anybody() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let body = json!({"model": "GLM-4.6", "messages": [{"role": "user", "content": "12345678"}]});
    let reply = post(&gateway, "/v1/messages/count_tokens", &body).await;
    assert_eq!(reply.header("x-z2api-estimate"), Some("true"));
    assert_eq!(reply.json().await, json!({"input_tokens": 6}));
    assert_eq!(gateway.sim.chat_requests(), 0);
    let refused = gateway.send("POST", "/v1/messages/count_tokens", &[], b"{}").await;
    assert_eq!(refused.status, 401);
    let document = json!({"type": "document", "source": {"type": "text", "data": "12345678"}});
    let body = json!({"model": "GLM-4.6", "messages": [{"role": "user", "content": [document]}]});
    let reply = post(&gateway, "/v1/messages/count_tokens", &body).await;
    assert_eq!(reply.json().await, json!({"input_tokens": 6}), "a document of text is its text");
}

#[tokio::test]
async fn tokens_are_counted_for_models_that_the_key_may_ask_only() {
    let (key, line) = keygen("ann").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{line} models=GLM-4.5-Air per_minute=7\n")).unwrap();
    let variables = [("API_KEYS_FILE", file.path().to_str().unwrap())];
    let gateway = Gateway::with(Dialect::OpenAi, answer("Hi"), &variables).await;
    let headers = [("x-api-key", key.expose())];
    let send = async |path: &str, model: &str| {
        let body = json!({"model": model, "max_tokens": 9, "messages": [
            {"role": "user", "content": "x"}]});
        gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
    };
    for (model, status) in [("GLM-4.6", 404), ("GLM-4.5-Air", 200)] {
        assert_eq!(send("/v1/messages/count_tokens", model).await.status, status, "{model}");
    }
    // The key's own rate is the one that is told.
    for left in (0..7).rev() {
        let reply = send("/v1/messages", "GLM-4.5-Air").await;
        assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), Some("7"));
        let told = reply.header("anthropic-ratelimit-requests-remaining");
        assert_eq!(told, Some(left.to_string().as_str()));
        assert!(reply.header("anthropic-ratelimit-requests-reset").unwrap().ends_with('Z'));
    }
    let over = send("/v1/messages", "GLM-4.5-Air").await;
    assert_eq!(over.status, 429);
    assert_eq!(over.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    assert!(over.header("retry-after").is_some());
    assert_eq!(ask(&gateway, json!({})).await.header("anthropic-ratelimit-requests-limit"), None);
}

#[tokio::test]
async fn models_are_listed_in_anthropics_shape_for_its_clients() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
    let list = gateway.send("GET", "/v1/models?limit=1000", &headers, b"").await.json().await;
    let first = &list["data"][0];
    assert_eq!((&first["type"], &list["has_more"]), (&json!("model"), &json!(false)));
    assert_eq!((&first["id"], &first["display_name"]), (&list["first_id"], &list["first_id"]));
    assert!(first["created_at"].as_str().unwrap().ends_with("00Z"), "{first}");
    let path = format!("/v1/models/{}", first["id"].as_str().unwrap());
    assert_eq!(gateway.send("GET", &path, &headers, b"").await.json().await, *first);
    let unknown = gateway.send("GET", "/v1/models/gpt-4", &headers, b"").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json().await["error"]["type"], "not_found_error");
}
