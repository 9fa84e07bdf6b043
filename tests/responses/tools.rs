//! The client's tools: functions, those of namespaces, and the choice among them.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, openai};
use z2api_upstream_sim::{Script, Sim};
use z2api_wire::event::Dialect;

use crate::custom::custom;
use crate::{ask, asked, gather, send};

/// An answer that calls these functions, in two pieces each.
pub(crate) fn calls(calls: &[(&str, &str, &str)]) -> Script {
    let mut deltas = Vec::new();
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let half = arguments.floor_char_boundary(arguments.len() / 2);
        let pieces = [
            json!({"index": index, "id": id, "function": {"name": name, "arguments": &arguments[..half]}}),
            json!({"index": index, "function": {"arguments": &arguments[half..]}}),
        ];
        deltas.extend(pieces.map(|piece| json!({"tool_calls": [piece]})));
    }
    openai::says(&deltas, "tool_calls")
}

/// The response to a request, asked for as a stream and whole: it must be the same, and be kept.
pub(crate) async fn both_ways(gateway: &Gateway, mut fields: Value) -> Value {
    let whole = ask(gateway, fields.clone()).await.json().await;
    fields["stream"] = json!(true);
    let streamed = gather(&ask(gateway, fields).await.events().await);
    for response in [&whole, &streamed] {
        let path = format!("/v1/responses/{}", response["id"].as_str().expect("an id"));
        let kept = send(gateway, "GET", &path, KEY, b"").await.json().await;
        assert_eq!(kept, *response);
    }
    let output = |response: &Value| -> Vec<Value> {
        let items = response["output"].as_array().unwrap().iter().cloned();
        let nameless = |mut item: Value| {
            item["id"].take();
            item
        };
        items.map(nameless).collect()
    };
    assert_eq!(output(&whole), output(&streamed));
    whole
}

pub(crate) fn names(asked: &Value) -> Vec<&str> {
    let tools = asked["tools"].as_array().expect("tools").iter();
    tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

pub(crate) fn namespaces() -> Value {
    let look = |about: &str| {
        json!({"type": "function", "name": "look", "description": about, "strict": false,
            "parameters": {"type": "object"}})
    };
    json!([
        look("Looks."),
        {"type": "namespace", "name": "mcp__tides", "description": "Of the sea.",
            "tools": [look("Looks at tides."), {"type": "function", "name": "tell"}]},
        {"type": "namespace", "name": "mcp__moon", "description": "", "tools": [look("Looks up.")]},
    ])
}

#[tokio::test]
async fn tools_of_namespaces_are_functions_with_names_of_their_own() {
    let script = calls(&[("c1", "mcp__moon__look", r#"{"at":1}"#), ("c2", "look", "{}")]);
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let response = both_ways(&gateway, json!({"tools": namespaces()})).await;
    assert_eq!(response["tools"], namespaces(), "as they were given");
    let call = |at: usize| response["output"][at].clone();
    assert_eq!((&call(0)["namespace"], &call(0)["name"]), (&json!("mcp__moon"), &json!("look")));
    assert_eq!(
        (call(0)["arguments"].as_str(), call(0)["call_id"].as_str()),
        (Some(r#"{"at":1}"#), Some("c1"))
    );
    assert_eq!((call(1).get("namespace"), &call(1)["name"]), (None, &json!("look")));
    let asked = asked(&gateway);
    assert_eq!(names(&asked), ["look", "mcp__tides__look", "mcp__tides__tell", "mcp__moon__look"]);
    let function = |at: usize| asked["tools"][at]["function"].clone();
    assert_eq!(function(1)["strict"], false);
    let about = function(1)["description"].as_str().unwrap().to_owned();
    assert!(about.starts_with("Looks at tides.") && about.contains("Of the sea."), "{about}");
    assert_eq!(
        (function(2).get("description"), &function(3)["description"]),
        (None, &json!("Looks up."))
    );
}

#[tokio::test]
async fn the_events_of_a_call_name_its_namespace_from_the_start() {
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[("c1", "mcp__moon__look", "{}")])).await;
    let fields = json!({"tools": namespaces(), "stream": true});
    let events = ask(&gateway, fields).await.events().await;
    let events = events.iter().map(|event| serde_json::from_str::<Value>(event).unwrap());
    let items: Vec<Value> =
        events.map(|event| event["item"].clone()).filter(|item| !item.is_null()).collect();
    assert_eq!(items.len(), 2, "added and done");
    assert!(items.iter().all(|item| item["namespace"] == "mcp__moon" && item["name"] == "look"));
}

#[tokio::test]
async fn a_conversation_calls_tools_by_the_same_names_however_it_is_carried() {
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[("c1", "mcp__tides__look", "{}")])).await;
    let first = ask(&gateway, json!({"tools": namespaces()})).await.json().await;
    let outcome = json!({"type": "function_call_output", "call_id": "c1", "output": "high"});
    let kept =
        json!({"tools": namespaces(), "previous_response_id": first["id"], "input": [outcome]});
    let carried = json!({"tools": namespaces(), "store": false,
        "input": [{"role": "user", "content": "How do tides work?"}, first["output"][0], outcome]});
    for fields in [kept, carried] {
        assert_eq!(ask(&gateway, fields).await.status, 200);
        let messages = asked(&gateway)["messages"].clone();
        assert_eq!(messages[1]["tool_calls"][0]["function"]["name"], "mcp__tides__look");
        assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "c1", "content": "high"}));
    }
}

#[tokio::test]
async fn a_tool_can_be_chosen() {
    let sim = Sim::start(calls(&[("c1", "patch", r#"{"input":"b"}"#)])).await.unwrap();
    // Not the official API, which cannot be held to a tool.
    let url = sim.openai_url().replace("/api/paas/v4/", "/v1/");
    let gateway = Gateway::with(Dialect::OpenAi, Script::sse(""), &[("UPSTREAM_URL", &url)]).await;
    let mut tools = namespaces();
    tools.as_array_mut().unwrap().extend(custom().as_array().unwrap().clone());
    let some = |mode: &str| {
        let tools = json!([{"type": "function", "name": "look", "namespace": "mcp__moon"}, {"type": "custom", "name": "patch"}]);
        json!({"type": "allowed_tools", "mode": mode, "tools": tools})
    };
    let one = |name: &str| json!({"type": "function", "function": {"name": name}});
    let all =
        ["look", "patch", "mcp__tides__look", "mcp__tides__tell", "mcp__moon__look", "shell__run"];
    let few = ["patch", "mcp__moon__look"];
    for (choice, asked, offered) in [
        (json!("auto"), json!("auto"), &all[..]),
        (json!("required"), json!("required"), &all[..]),
        (json!({"type": "custom", "name": "patch"}), one("patch"), &all[..]),
        (json!({"type": "function", "name": "look"}), one("look"), &all[..]),
        (
            json!({"type": "function", "name": "tell", "namespace": "mcp__tides"}),
            one("mcp__tides__tell"),
            &all[..],
        ),
        (some("auto"), json!("auto"), &few[..]),
        (some("required"), json!("required"), &few[..]),
    ] {
        let response =
            ask(&gateway, json!({"tools": tools, "tool_choice": choice})).await.json().await;
        assert_eq!((&response["tool_choice"], &response["tools"]), (&choice, &tools));
        let body = sim.chats().pop().unwrap().json();
        assert_eq!((&body["tool_choice"], names(&body)), (&asked, offered.to_vec()), "{choice}");
    }
    let count = sim.chat_requests();
    for (choice, param) in [
        (json!({"type": "function", "name": "tell"}), "tool_choice"),
        (json!({"type": "function"}), "tool_choice.name"),
        (json!({"type": "file_search"}), "tool_choice"),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]}),
            "tool_choice.tools[0]",
        ),
        (json!({"type": "allowed_tools", "tools": []}), "tool_choice.mode"),
        (json!("some"), "tool_choice"),
    ] {
        let reply = ask(&gateway, json!({"tools": tools, "tool_choice": choice})).await;
        assert_eq!(reply.status, 400, "{choice}");
        assert_eq!(reply.json().await["error"]["param"], param, "{choice}");
    }
    assert_eq!(sim.chat_requests(), count);
}

#[tokio::test]
async fn a_tool_that_makes_no_sense_is_told_by_its_place() {
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[])).await;
    let space =
        |tools: Value| json!({"type": "namespace", "name": "n", "description": "", "tools": tools});
    let f = json!({"type": "function", "name": "f"});
    for (tools, param) in [
        (json!({}), "tools"),
        (json!([f, 5]), "tools[1]"),
        (json!([{"type": "function"}]), "tools[0].name"),
        (json!([f, {"type": "function", "name": "no spaces"}]), "tools[1].name"),
        (json!([f, f]), "tools[1].name"),
        (json!([{"type": "function", "name": "f", "parameters": 5}]), "tools[0].parameters"),
        (json!([{"type": "function", "name": "f", "strict": "x"}]), "tools[0].strict"),
        (json!([f, space(json!([f, f]))]), "tools[1].tools[1].name"),
        (json!([space(json!([{"type": "mcp", "name": "x"}]))]), "tools[0].tools[0]"),
        (json!([space(json!([{"type": "custom", "name": ""}]))]), "tools[0].tools[0].name"),
        (json!([{"type": "namespace", "tools": [f]}]), "tools[0].name"),
        (json!([f, {"type": "code_interpreter"}]), "tools[1]"),
        (
            json!([{"type": "web_search", "filters": {"allowed_domains": ["a"]}}]),
            "tools[0].filters",
        ),
        (json!([{"type": "local_shell"}]), "tools[0]"),
    ] {
        let reply = ask(&gateway, json!({"tools": tools})).await;
        assert_eq!(reply.status, 400, "{tools}");
        assert_eq!(reply.json().await["error"]["param"], param, "{tools}");
    }
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn a_search_of_the_web_is_what_the_model_of_that_variant_does() {
    let web = || {
        Script::events([
            r#"{"type":"chat:completion","data":{"delta_content":"fine","phase":"answer"}}"#,
            r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
        ])
    };
    let gateway = Gateway::start(Dialect::ZaiWeb, web()).await;
    let search = json!([{"type": "web_search", "search_context_size": "low"}]);
    for (fields, searches) in [
        (json!({"tools": search}), true),
        (json!({"tools": [{"type": "web_search_preview"}], "tool_choice": "required"}), true),
        (json!({"tools": search, "tool_choice": {"type": "web_search"}}), true),
        (json!({"tools": search, "tool_choice": "none"}), false),
        (json!({"tools": [{"type": "web_search", "external_web_access": false}]}), false),
    ] {
        let mut fields = fields;
        fields["model"] = json!("GLM-4.5");
        let reply = ask(&gateway, fields.clone()).await;
        let named = reply.header("x-z2api-ignored").map(str::to_owned);
        assert_eq!(reply.status, 200, "{fields}");
        assert_eq!(
            named.is_some_and(|names| names.contains("search_context_size")),
            fields["tools"] == search
        );
        assert_eq!(asked(&gateway)["features"]["web_search"], searches, "{fields}");
    }
    // Beside functions, where there are some.
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[("c1", "look", "{}")])).await;
    let tools = json!([{"type": "function", "name": "look"}, {"type": "web_search"}]);
    let some = |names: Value| json!({"type": "allowed_tools", "mode": "auto", "tools": names});
    for (choice, kinds) in [
        (json!("auto"), vec!["function", "web_search"]),
        (some(json!([{"type": "web_search"}])), vec!["web_search"]),
        (some(json!([{"type": "function", "name": "look"}])), vec!["function"]),
    ] {
        assert_eq!(ask(&gateway, json!({"tools": tools, "tool_choice": choice})).await.status, 200);
        let asked = asked(&gateway)["tools"].clone();
        let told: Vec<&str> =
            asked.as_array().unwrap().iter().map(|tool| tool["type"].as_str().unwrap()).collect();
        assert_eq!(told, kinds, "{choice}");
    }
    let refused = ask(&gateway, json!({"tool_choice": {"type": "web_search"}})).await;
    assert_eq!(refused.json().await["error"]["param"], "tool_choice");
    let blind = json!({"model": "GLM-4.5V", "tools": [{"type": "web_search"}]});
    assert_eq!(ask(&gateway, blind).await.json().await["error"]["param"], "tools");
}
