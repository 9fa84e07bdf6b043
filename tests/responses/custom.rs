//! Tools that take free text, and loops of several calls of all kinds.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_upstream_sim::{Recorded, Script, plan_fn};
use z2api_wire::event::Dialect;

use crate::tools::{both_ways, calls, names, namespaces};
use crate::{ask, asked, gather, of_kind};

const PATCH: &str = "*** Begin Patch\n+\"Grüße\" \\ 🙂\n\t*** End Patch";

pub(crate) fn custom() -> Value {
    let format = json!({"type": "grammar", "syntax": "lark", "definition": "start: /.+/"});
    json!([
        {"type": "custom", "name": "patch", "description": "Changes files.", "format": format},
        {"type": "namespace", "name": "shell", "description": "",
            "tools": [{"type": "custom", "name": "run", "format": {"type": "text"}}]},
    ])
}

#[tokio::test]
async fn a_custom_tool_is_called_with_free_text() {
    let arguments =
        [json!({"input": PATCH}).to_string(), r#"{"input": "\ud83d\ude42 \u00fc\/"}"#.to_owned()];
    let script = calls(&[("c1", "patch", &arguments[0]), ("c2", "shell__run", &arguments[1])]);
    for script in [script.clone(), script.event_by_event().pieces_of(1)] {
        let gateway = Gateway::start(Dialect::OpenAi, script).await;
        let response = both_ways(&gateway, json!({"tools": custom()})).await;
        assert_eq!(response["tools"], custom());
        let of = of_kind(&response, "custom_tool_call");
        let told: Vec<[Value; 3]> = of
            .map(|item| ["namespace", "name", "input"].map(|field| item[field].clone()))
            .collect();
        let expected = [
            [Value::Null, json!("patch"), json!(PATCH)],
            [json!("shell"), json!("run"), json!("🙂 ü/")],
        ];
        assert_eq!(told, expected);
        let asked = asked(&gateway);
        assert_eq!(names(&asked), ["patch", "shell__run"]);
        let function = &asked["tools"][0]["function"];
        assert_eq!(function["parameters"]["required"], json!(["input"]));
        let about = function["description"].as_str().unwrap();
        assert!(about.starts_with("Changes files.") && about.contains("start: /.+/"), "{about}");
    }
}

#[tokio::test]
async fn the_events_of_a_free_text_are_openais() {
    let arguments = json!({"input": "ab"}).to_string();
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[("c1", "patch", &arguments)])).await;
    let reply = ask(&gateway, json!({"tools": custom(), "stream": true})).await;
    assert_eq!(
        reply.header("x-z2api-ignored"),
        Some("tools.format"),
        "nothing holds the model to it"
    );
    let events = reply.events().await;
    let of_input: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .filter(|event: &Value| event["type"].as_str().unwrap().contains("custom_tool_call_input"))
        .collect();
    let (done, deltas) = of_input.split_last().unwrap();
    assert_eq!(
        (done["type"].as_str(), &done["input"]),
        (Some("response.custom_tool_call_input.done"), &json!("ab"))
    );
    assert!(deltas.iter().all(|event| event["type"] == "response.custom_tool_call_input.delta"));
    let text: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(text, "ab");
}

#[tokio::test]
async fn the_outcome_of_a_free_text_goes_back_to_its_call() {
    let gateway = Gateway::start(Dialect::OpenAi, calls(&[("c2", "patch", "{}")])).await;
    let input = json!([
        {"role": "user", "content": "Change it."},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "patch", "input": PATCH},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "Done."}]},
    ]);
    // Whatever comes of it: the question is what is asked.
    ask(&gateway, json!({"tools": custom(), "input": input, "stream": true})).await.events().await;
    let messages = asked(&gateway)["messages"].clone();
    let function = &messages[1]["tool_calls"][0]["function"];
    let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert_eq!((&function["name"], arguments), (&json!("patch"), json!({"input": PATCH})));
    assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "c1", "content": "Done."}));
}

#[tokio::test]
async fn a_custom_tool_that_is_called_with_something_else_is_an_error_and_never_run() {
    for bad in ["{}", "free text", r#"{"input":"a","more":1}"#, r#"{"input":"a"#] {
        let script = calls(&[("c1", "patch", bad), ("c2", "patch", r#"{"input":"b"}"#)]);
        let gateway = Gateway::with(Dialect::OpenAi, script, &[("MAX_RETRIES", "0")]).await;
        let whole = ask(&gateway, json!({"tools": custom()})).await;
        assert_eq!(whole.status, 502, "{bad}");
        let error = whole.json().await["error"].clone();
        assert_eq!(error["code"], "upstream_bad_arguments", "{bad}");
        let events = ask(&gateway, json!({"tools": custom(), "stream": true})).await.events().await;
        assert!(events.iter().all(|event| !event.contains("response.output_item.done")), "{bad}");
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(last["type"], "response.failed");
        let failure = &last["response"]["error"];
        assert_eq!((&failure["code"], &failure["message"]), (&error["code"], &error["message"]));
        let lines = gateway.lines("response", 2).await;
        assert!(lines.iter().all(|line| line["error"] == "upstream_bad_arguments"), "{lines:?}");
    }
}

/// Calls the tide, then the moon, then says so: by how many outcomes it has.
fn loop_of_three(request: &Recorded) -> Script {
    let messages = request.json()["messages"].clone();
    let outcomes = messages.as_array().unwrap().iter().filter(|message| message["role"] == "tool");
    match outcomes.count() {
        0 => calls(&[("c0", "mcp__tides__look", r#"{"port":"Brest"}"#)]),
        1 => calls(&[("c1", "patch", r#"{"input":"high"}"#)]),
        _ => crate::says(
            json!({"reasoning_content": "Both.", "content": "High, under a full moon."}),
        ),
    }
}

#[tokio::test]
async fn a_loop_of_several_calls_comes_to_its_end_kept_and_carried_streamed_and_whole() {
    let mut tools = namespaces();
    tools.as_array_mut().unwrap().extend(custom().as_array().unwrap().clone());
    for (kept, stream) in [(true, true), (true, false), (false, true), (false, false)] {
        let gateway = Gateway::start(Dialect::OpenAi, plan_fn(loop_of_three)).await;
        let mut input = json!([{"role": "user", "content": "How is the tide?"}]);
        let mut fields = json!({"tools": tools, "store": kept, "stream": stream});
        let mut turns = 0;
        let last = loop {
            fields["input"] = input.clone();
            let reply = ask(&gateway, fields.clone()).await;
            let response = if stream { gather(&reply.events().await) } else { reply.json().await };
            let output = response["output"].as_array().unwrap().clone();
            let called = |item: &&Value| item["type"].as_str().unwrap().ends_with("_call");
            let Some(call) = output.iter().find(called) else { break response };
            let kind = format!("{}_output", call["type"].as_str().unwrap());
            let outcome = json!({"type": kind, "call_id": call["call_id"], "output": "high"});
            if kept {
                fields["previous_response_id"] = response["id"].clone();
                input = json!([outcome]);
            } else {
                input.as_array_mut().unwrap().extend(output.iter().cloned().chain([outcome]));
            }
            turns += 1;
            assert!(turns < 5, "{response}");
        };
        assert_eq!(turns, 2);
        let text = of_kind(&last, "message").map(crate::text_of).collect::<String>();
        assert_eq!(text, "High, under a full moon.");
        let messages = asked(&gateway)["messages"].clone();
        let roles: Vec<&str> =
            messages.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "assistant", "tool"]);
        let name = |at: usize| messages[at]["tool_calls"][0]["function"]["name"].clone();
        assert_eq!((name(1), name(3)), (json!("mcp__tides__look"), json!("patch")));
    }
}
