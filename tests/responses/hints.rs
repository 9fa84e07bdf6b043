//! What becomes of the fields of a request: asked, named or refused.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_upstream_sim::{Script, Sim};
use z2api_wire::event::Dialect;

use crate::{ask, asked, says};

#[tokio::test]
async fn a_request_is_asked_upstream_with_everything_in_it() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "Hi"}))).await;
    let reply = ask(
        &gateway,
        json!({
            "instructions": "Be brief.", "max_output_tokens": 77, "temperature": 0.5,
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": false}],
            "metadata": {"a": "b"},
            "input": [
                {"role": "user", "content": "Look at it."},
                {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "I look."}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I will."}]},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\":\"it\"}"},
                {"type": "function_call_output", "call_id": "c1", "output": "nothing"},
                {"role": "user", "content": [{"type": "input_text", "text": "And now?"}]}
            ],
        }),
    )
    .await;
    assert_eq!(reply.status, 200);
    let response = reply.json().await;
    assert_eq!(
        (&response["object"], &response["metadata"]),
        (&json!("response"), &json!({"a": "b"}))
    );
    assert_eq!(
        (&response["instructions"], &response["max_output_tokens"]),
        (&json!("Be brief."), &json!(77))
    );
    let asked = asked(&gateway);
    assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(77), &json!(0.5)));
    assert_eq!(asked["tools"][0]["function"]["name"], "look");
    let messages = asked["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(messages[2]["reasoning_content"], "I look.");
    assert!(messages[2]["content"].to_string().contains("I will."));
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], r#"{"at":"it"}"#);
    assert_eq!(
        (&messages[3]["tool_call_id"], &messages[3]["content"]),
        (&json!("c1"), &json!("nothing"))
    );
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let check = async |fields: Value, param: &str| {
        let reply = ask(&gateway, fields.clone()).await;
        assert_eq!(reply.status, 400, "{fields}");
        assert_eq!(reply.json().await["error"]["param"], param, "{fields}");
    };
    check(json!({"background": true}), "background").await;
    check(json!({"conversation": "c"}), "conversation").await;
    check(json!({"prompt": {"id": "p"}}), "prompt").await;
    check(json!({"input": null}), "input").await;
    check(json!({"input": 5}), "input").await;
    check(json!({"input": ["x"]}), "input[0]").await;
    check(json!({"input": [{"role": "user", "content": "x"}, {"role": "robot"}]}), "input[1].role")
        .await;
    let said = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    check(said(json!({"type": "input_text", "text": 5})), "input[0].content[0].text").await;
    check(said(json!({"type": "input_file", "file_id": "f"})), "input[0].content[0]").await;
    check(json!({"tools": [{"type": "code_interpreter"}]}), "tools[0]").await;
    check(json!({"input": [{"type": "computer_call"}]}), "input[0]").await;
    let reference = json!({"input": [{"type": "item_reference", "id": "msg_1"}]});
    check(reference.clone(), "input[0]").await;
    let told = ask(&gateway, reference).await.json().await;
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("providerOptions.openai.store"), "the way out: {message}");
    check(json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input[0].call_id")
        .await;
    check(json!({"tools": 5}), "tools").await;
    check(json!({"moderation": {"model": "x"}}), "moderation").await;
    check(json!({"truncation": "some"}), "truncation").await;
    check(json!({"include": ["message.output_text.logprobs"]}), "include[0]").await;
    check(json!({"include": ["reasoning.encrypted_content", "x"]}), "include[1]").await;
    check(json!({"max_output_tokens": 0}), "max_output_tokens").await;
    check(json!({"temperature": 3}), "temperature").await;
    check(json!({"input": []}), "input").await;
    check(json!({"input": [{"role": "user", "content": []}]}), "input[0].content").await;
    let image = json!([{"type": "input_image", "image_url": "data:x"}]);
    let said = json!([{"role": "user", "content": "a"}, {"role": "user", "content": image}]);
    check(json!({"input": said, "instructions": "x"}), "input[1].content[0]").await;
    let called = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let given = json!({"type": "function_call_output", "call_id": "c", "output": image});
    check(json!({"input": [called, given]}), "input[1].output[0]").await;
    let schema = json!({"type": "json_schema", "name": "x", "schema": {"type": "object"}});
    check(json!({"text": {"format": schema}}), "text.format").await;
    check(json!({"text": {"format": {"type": "json_schema", "name": "x"}}}), "text.format.schema")
        .await;
    check(json!({"text": {"format": {"type": "xml"}}}), "text.format.type").await;
    check(json!({"text": {"format": 5}}), "text.format").await;
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn hints_that_are_left_out_are_named_as_the_client_wrote_them() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    for (fields, names) in [
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"max_tool_calls": 3}), "max_tool_calls"),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity"),
        (
            json!({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}),
            "prompt_cache_key, prompt_cache_retention",
        ),
        (json!({"prompt_cache_options": {"mode": "explicit"}}), "prompt_cache_options"),
        (
            json!({"safety_identifier": "s", "service_tier": "flex"}),
            "safety_identifier, service_tier",
        ),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"context_management": [{"type": "compaction"}]}), "context_management"),
        (json!({"reasoning": {"effort": "high"}}), "reasoning.effort"),
        (json!({"model": "Z1-32B", "reasoning": {"effort": "high"}}), "reasoning.effort"),
        (
            json!({"reasoning": {"context": "all_turns", "mode": "pro"}}),
            "reasoning.context, reasoning.mode",
        ),
        (
            json!({"include": ["web_search_call.action.sources", "file_search_call.results"]}),
            "include.file_search_call.results, include.web_search_call.action.sources",
        ),
        (
            json!({"tools": [{"type": "web_search", "external_web_access": false}]}),
            "tools.web_search",
        ),
    ] {
        for stream in [false, true] {
            let mut fields = fields.clone();
            fields["stream"] = json!(stream);
            let reply = ask(&gateway, fields.clone()).await;
            assert_eq!(
                (reply.status, reply.header("x-z2api-ignored")),
                (200, Some(names)),
                "{fields}"
            );
        }
    }
    let nothing = json!({"truncation": "disabled", "service_tier": "auto", "include": [],
        "metadata": {"a": "b"}, "store": true, "parallel_tool_calls": true, "background": false,
        "top_logprobs": 0, "stream_options": {"include_obfuscation": false}, "text": {},
        "reasoning": {"context": "auto", "summary": null}, "tools": [], "tool_choice": "auto",
        "client_metadata": {"of": "codex"}});
    let reply = ask(&gateway, nothing).await;
    assert_eq!((reply.status, reply.header("x-z2api-ignored")), (200, None));
}

#[tokio::test]
async fn a_response_repeats_its_request() {
    let gateway = Gateway::start(Dialect::OpenAi, says(json!({"content": "One."}))).await;
    let fields = json!({"instructions": "Be brief.", "max_output_tokens": 9, "max_tool_calls": 3,
        "metadata": {"a": "b"}, "parallel_tool_calls": false, "prompt_cache_key": "k",
        "reasoning": {"effort": "high", "summary": "auto"}, "safety_identifier": "s", "store": false,
        "temperature": 0.5, "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": "none", "top_p": 0.5, "user": "somebody",
        "tools": [{"type": "function", "name": "f", "of_some_other_api": {"x": 1}}]});
    let whole = ask(&gateway, fields.clone()).await.json().await;
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(whole[name], *value, "{name}");
    }
    // What was done, whatever was asked for.
    let asked_for = json!({"truncation": "auto", "service_tier": "flex"});
    let whole = ask(&gateway, asked_for).await.json().await;
    assert_eq!(
        (&whole["truncation"], &whole["service_tier"]),
        (&json!("disabled"), &json!("default"))
    );
}

#[tokio::test]
async fn a_schema_goes_to_a_server_that_may_follow_it() {
    let sim = Sim::start(says(json!({"content": "{}"}))).await.unwrap();
    let url = sim.openai_url().replace("/api/paas/v4/", "/v1/");
    let gateway = Gateway::with(Dialect::OpenAi, Script::sse(""), &[("UPSTREAM_URL", &url)]).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "name": "answer", "schema": schema, "strict": true});
    let response = ask(&gateway, json!({"text": {"format": format}})).await.json().await;
    assert_eq!(response["text"]["format"], format);
    let asked = sim.chats().pop().unwrap().json()["response_format"].clone();
    let of_chat = json!({"name": "answer", "schema": schema, "strict": true});
    assert_eq!(asked, json!({"type": "json_schema", "json_schema": of_chat}));
    let object = json!({"text": {"format": {"type": "json_object"}}});
    assert_eq!(ask(&gateway, object).await.status, 200);
    let asked = sim.chats().pop().unwrap().json()["response_format"].clone();
    assert_eq!(asked, json!({"type": "json_object"}));
}
