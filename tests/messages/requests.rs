//! Requests: what the upstream is asked, and what is left out and named.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_upstream_sim::Sim;
use z2api_wire::event::Dialect;

use crate::{answer, ask};

#[tokio::test]
async fn a_request_is_asked_upstream_with_everything_in_it() {
    let script = answer("Hi");
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let reply = ask(
        &gateway,
        json!({
            "model": "claude-opus-4-1",
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "temperature": 0.5, "top_k": 3, "metadata": {"user_id": "user-12345"},
            "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto"},
            "messages": [
                {"role": "user", "content": "Look at it."},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "I look.", "signature": "x"},
                    {"type": "text", "text": "I will."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "is_error": true,
                     "content": [{"type": "text", "text": "nothing"}, {"type": "text", "text": "there"}]},
                    {"type": "text", "text": "And now?"}]}
            ],
        }),
    )
    .await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("x-z2api-ignored"),
        Some("cache_control, thinking.budget_tokens, top_k")
    );
    let asked = gateway.sim.chats()[0].json();
    assert_eq!(asked["model"], "glm-4.7");
    assert_eq!(asked["thinking"]["type"], "enabled");
    assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(100), &json!(0.5)));
    assert_eq!(asked["tools"][0]["function"]["parameters"], json!({"type": "object"}));
    let messages = asked["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert!(messages[0]["content"].to_string().contains("Be brief."));
    assert_eq!(messages[2]["reasoning_content"], "I look.");
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], r#"{"at":"it"}"#);
    assert_eq!(messages[3]["tool_call_id"], "t1");
    assert_eq!(messages[3]["content"], "Error: nothing\nthere");
    assert!(messages[4]["content"].to_string().contains("And now?"));
}

#[tokio::test]
async fn what_is_a_hint_here_is_named_by_its_own_name() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let document = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "data": "x"}});
    let fields = json!({
        "model": "GLM-4.6",
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true,
            "input_examples": [{}]}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "service_tier": "standard_only", "speed": "fast", "metadata": {"user_id": "me"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "diagnostics": {}, "user_profile_id": "u",
        "output_config": {"effort": "high"}, "cache_control": {"type": "ephemeral"},
        "messages": [{"role": "user", "content": [document]}],
    });
    for stream in [true, false] {
        let mut fields = fields.clone();
        fields["stream"] = stream.into();
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("x-z2api-ignored"),
            Some(
                "cache_control, citations, context_management, diagnostics, metadata.user_id, \
                 output_config.effort, service_tier, speed, thinking.budget_tokens, \
                 tool_choice.disable_parallel_tool_use, tools.defer_loading, \
                 tools.input_examples, user_profile_id"
            )
        );
        reply.text().await;
    }
    let nothing = json!({"service_tier": "auto", "speed": "standard", "inference_geo": "global",
        "thinking": {"type": "adaptive"}, "tool_choice": {"type": "auto"}, "mcp_servers": [],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "container": null, "metadata": {"user_id": "longer"}, "stop_sequences": [], "system": [],
        "some_new_field": 1});
    assert_eq!(ask(&gateway, nothing).await.header("x-z2api-ignored"), None);
}

#[tokio::test]
async fn a_schema_is_sent_to_a_server_that_keeps_to_one() {
    let server = Sim::start(answer("{}")).await.unwrap();
    let url = server.openai_url().replace("/paas/", "/other/");
    let gateway = Gateway::with(Dialect::OpenAi, answer(""), &[("UPSTREAM_URL", &url)]).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "schema": schema});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        assert_eq!(ask(&gateway, fields).await.status, 200);
        let asked = server.chats().pop().unwrap().json();
        assert_eq!(asked["response_format"]["type"], "json_schema");
        assert_eq!(asked["response_format"]["json_schema"]["schema"], schema);
    }
}

#[tokio::test]
async fn the_search_tool_is_the_upstreams_search() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    let look = json!({"name": "look", "input_schema": {"type": "object"}});
    let chosen = json!({"type": "tool", "name": "web_search"});
    for fields in [
        json!({"tools": [search]}),
        json!({"tools": [search], "tool_choice": chosen}),
        json!({"tools": [search], "tool_choice": {"type": "any"}}),
        json!({"tools": [search, look], "tool_choice": {"type": "auto"}}),
    ] {
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.header("x-z2api-ignored"), Some("tools.max_uses"));
        let asked = gateway.sim.chats().pop().unwrap().json();
        let kinds = asked["tools"].as_array().unwrap().iter().map(|tool| &tool["type"]);
        assert!(kinds.into_iter().any(|kind| kind == "web_search"), "{asked}");
    }
    let mut within = search.clone();
    within["allowed_domains"] = json!(["example.org"]);
    let bad = json!({"name": "a b", "input_schema": {"type": "object"}});
    for (fields, own) in [
        (json!({"tools": [look, within]}), "`tools.1.allowed_domains`"),
        (json!({"tools": [search], "model": "GLM-4.5V"}), "`tools`"),
        (json!({"tools": [search, bad]}), "`tools.1.name`"),
    ] {
        let reply = ask(&gateway, fields).await;
        assert_eq!(reply.status, 400, "{own}");
        let text = reply.text().await;
        assert!(text.contains(own), "{own} in {text}");
    }
    let web = Gateway::start(Dialect::ZaiWeb, answer("Hi")).await;
    ask(&web, json!({"tools": [search]})).await;
    assert_eq!(web.sim.chats()[0].json()["features"]["web_search"], true);
}

#[tokio::test]
async fn documents_of_text_and_search_results_are_read() {
    let gateway = Gateway::start(Dialect::OpenAi, answer("Hi")).await;
    let plain = json!({"type": "document", "title": "Tides", "context": "A book.",
        "source": {"type": "text", "data": "High at noon."}});
    let parts = json!({"type": "document", "source": {"type": "content", "content": [
        {"type": "text", "text": "Low at six."}]}});
    let found = json!({"type": "search_result", "source": "https://example.org", "title": "Found",
        "content": [{"type": "text", "text": "Noon."}]});
    let result =
        json!({"type": "tool_result", "tool_use_id": "t", "content": [plain, parts, found]});
    let call = json!({"type": "tool_use", "id": "t", "name": "read", "input": {}});
    let body = json!({"messages": [{"role": "user", "content": [plain, found]},
        {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]});
    assert_eq!(ask(&gateway, body).await.status, 200);
    let messages = gateway.sim.chats()[0].json()["messages"].clone();
    let text = |message: &Value| {
        let parts = message["content"].as_array().unwrap();
        parts.iter().map(|part| part["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(
        text(&messages[0]),
        "Tides\nA book.\nHigh at noon.Found\nhttps://example.org\nNoon."
    );
    let given = messages[2]["content"].as_str().unwrap();
    for words in ["Tides", "A book.", "High at noon.", "Low at six.", "Found", "Noon."] {
        assert!(given.contains(words), "{words} in {given}");
    }
    let pdf = json!({"type": "document", "source":
        {"type": "base64", "media_type": "application/pdf", "data": "AA=="}});
    let reply = ask(&gateway, json!({"messages": [{"role": "user", "content": [pdf]}]})).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().await.contains("`messages.0.content.0.source`"));
}
