//! Requests that make no sense or cannot be honoured: each API names its own field.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::api::{APIS, Api, Question};
use crate::heard::hear;

/// What each API is sent besides the usual, and the field it must name.
struct Case {
    chat: (Value, &'static str),
    messages: (Value, &'static str),
    responses: (Value, &'static str),
}

/// The same field in all.
fn same(fields: Value, name: &'static str) -> Case {
    let one = || (fields.clone(), name);
    Case { chat: one(), messages: one(), responses: one() }
}

async fn check(gateway: &Gateway, case: Case) {
    let mut told = Vec::new();
    for (api, (fields, name)) in APIS.into_iter().zip([case.chat, case.messages, case.responses]) {
        for stream in [true, false] {
            let mut body = api.body(&Question::new(stream));
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let reply = api.send(gateway, KEY, &[], &body.to_string()).await;
            let failure = hear(api, reply).await.refused();
            assert_eq!(failure.status, 400, "{api:?}, {name}: {failure:?}");
            assert_eq!(failure.kind.as_deref(), Some("invalid_request_error"), "{failure:?}");
            match api {
                Api::Chat | Api::Responses => {
                    assert_eq!(failure.param.as_deref(), Some(name), "{api:?}: {failure:?}");
                }
                Api::Messages => {
                    let quoted = format!("`{name}`");
                    assert!(failure.message.contains(&quoted), "{quoted} in {failure:?}");
                }
            }
            let code = failure.code.filter(|_| api != Api::Messages);
            // The way out may differ: Messages cannot leave `max_tokens` out.
            let place = failure.message.split([';', '(']).next().unwrap();
            let place = place.trim_end_matches(['.', ' ']).replace(name, "FIELD");
            told.push((api == Api::Messages, code, place));
        }
    }
    let codes: Vec<_> = told.iter().filter(|told| !told.0).map(|told| told.1.clone()).collect();
    assert!(codes.windows(2).all(|two| two[0] == two[1]), "{told:?}");
    assert!(told.windows(2).all(|two| two[0].2 == two[1].2), "the same words: {told:#?}");
}

fn limit(value: Value) -> Case {
    let one = |name: &'static str| (json!({name: value}), name);
    Case {
        chat: one("max_tokens"),
        messages: one("max_tokens"),
        responses: one("max_output_tokens"),
    }
}

fn image() -> Case {
    let url = "https://example.org/tide.png";
    let text = |kind: &str| json!({"type": kind, "text": "Look."});
    let chat = json!([text("text"), {"type": "image_url", "image_url": {"url": url}}]);
    let blocks = json!([text("text"), {"type": "image", "source": {"type": "url", "url": url}}]);
    let parts = json!([text("input_text"), {"type": "input_image", "image_url": url}]);
    let turns = |content: Value| {
        json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": content}])
    };
    Case {
        // With instructions before them, which must not shift what is told.
        chat: (json!({"messages": turns(chat)}), "messages[2].content[1]"),
        messages: (
            json!({"system": "Be brief.", "messages": turns(blocks)}),
            "messages.2.content.1",
        ),
        responses: (
            json!({"instructions": "Be brief.", "input": turns(parts)}),
            "input[2].content[1]",
        ),
    }
}

fn tool(name: &str) -> [Value; 3] {
    let schema = json!({"type": "object"});
    [
        json!([{"type": "function", "function": {"name": name, "parameters": schema}}]),
        json!([{"name": name, "input_schema": schema}]),
        json!([{"type": "function", "name": name, "parameters": schema}]),
    ]
}

#[tokio::test]
async fn a_field_is_named_as_the_client_wrote_it() {
    let gateway = Gateway::start(Dialect::OpenAi, Script::sse("")).await;
    check(&gateway, same(json!({"temperature": "hot"}), "temperature")).await;
    check(&gateway, same(json!({"temperature": 3}), "temperature")).await;
    check(&gateway, same(json!({"top_p": -1}), "top_p")).await;
    check(&gateway, same(json!({"stream": "yes"}), "stream")).await;
    check(&gateway, same(json!({"model": null}), "model")).await;
    check(&gateway, image()).await;
    check(&gateway, limit(json!(0))).await;
    check(&gateway, limit(json!("many"))).await;
    let [chat, messages, responses] = tool("a b");
    check(
        &gateway,
        Case {
            chat: (json!({"tools": chat}), "tools[0].function.name"),
            messages: (json!({"tools": messages}), "tools.0.name"),
            responses: (json!({"tools": responses}), "tools[0].name"),
        },
    )
    .await;
    let [chat, messages, responses] = tool("look");
    let forced = json!({"type": "any"});
    check(
        &gateway,
        Case {
            chat: (json!({"tools": chat, "tool_choice": "required"}), "tool_choice"),
            messages: (json!({"tools": messages, "tool_choice": forced}), "tool_choice"),
            responses: (json!({"tools": responses, "tool_choice": "required"}), "tool_choice"),
        },
    )
    .await;
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn what_a_dialect_has_not_is_named_as_the_client_wrote_it() {
    let gateway = Gateway::start(Dialect::ZaiWeb, Script::sse("")).await;
    let [chat, messages, responses] = tool("look");
    check(
        &gateway,
        Case {
            chat: (json!({"tools": chat}), "tools"),
            messages: (json!({"tools": messages}), "tools"),
            responses: (json!({"tools": responses}), "tools"),
        },
    )
    .await;
}

#[tokio::test]
async fn an_unknown_model_is_unknown_everywhere() {
    let gateway = Gateway::start(Dialect::OpenAi, Script::sse("")).await;
    for api in APIS {
        let mut body = api.body(&Question::new(true));
        body["model"] = "gpt-4o".into();
        let reply = api.send(&gateway, KEY, &[], &body.to_string()).await;
        let failure = hear(api, reply).await.refused();
        assert_eq!(failure.status, 404);
        assert!(failure.message.contains("`gpt-4o` does not exist"), "{failure:?}");
        if api == Api::Messages {
            assert_eq!(failure.kind.as_deref(), Some("not_found_error"));
        } else {
            assert_eq!(failure.code.as_deref(), Some("model_not_found"));
            assert_eq!(failure.param.as_deref(), Some("model"));
        }
    }
}
