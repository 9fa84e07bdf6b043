//! OpenAI's Responses API over the same path: the same words, usage and errors as in Chat
//! Completions, and answers that later requests follow.

mod custom;
mod ends;
mod hints;
mod kept;
mod learnt;
mod like_chat;
mod same_question;
mod streams;
mod thinking;
mod tools;

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, Reply, openai};
use z2api_upstream_sim::Script;

pub(crate) async fn send(
    gateway: &Gateway,
    method: &str,
    path: &str,
    key: &str,
    body: &[u8],
) -> Reply {
    let key = format!("Bearer {key}");
    gateway.send(method, path, &[("authorization", &key)], body).await
}

pub(crate) async fn ask(gateway: &Gateway, fields: Value) -> Reply {
    let mut body = json!({"model": "GLM-4.6", "input": "How do tides work?"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    send(gateway, "POST", "/v1/responses", KEY, body.to_string().as_bytes()).await
}

/// Checks the order of the events, and that the last one repeats what the deltas said. Answers the
/// last event's response.
pub(crate) fn gather(events: &[String]) -> Value {
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at, "numbered without a gap: {event}");
    }
    let kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let (mut items, mut open): (Vec<Value>, Option<(Value, String)>) = (Vec::new(), None);
    for event in &events[2..events.len() - 1] {
        let kind = event["type"].as_str().unwrap();
        assert_eq!(event["output_index"], items.len(), "{event}");
        if kind == "response.output_item.added" {
            assert!(open.is_none());
            open = Some((event["item"].clone(), String::new()));
            continue;
        }
        let (item, text) = open.as_mut().expect("an open item");
        let delta = event["delta"].as_str();
        if kind == "response.output_item.done" {
            assert_eq!(event["item"]["id"], item["id"]);
            assert_eq!(text_of(&event["item"]), *text, "the item holds what the deltas said");
            items.push(event["item"].clone());
            open = None;
            continue;
        }
        assert_eq!(event["item_id"], item["id"], "{event}");
        *text += delta.unwrap_or_default();
        if kind.ends_with(".done") && event.get("text").is_some() {
            assert_eq!(event["text"], **text);
        }
    }
    let last = events.last().unwrap();
    let response = last["response"].clone();
    let status = kinds.last().unwrap().strip_prefix("response.").unwrap();
    assert_eq!(response["status"], status);
    if status != "failed" {
        assert!(open.is_none(), "an item is left open");
        assert_eq!(response["output"], json!(items));
    }
    response
}

pub(crate) fn text_of(item: &Value) -> String {
    let parts = |field: &str| {
        let parts = item[field].as_array().into_iter().flatten();
        parts.map(|part| part["text"].as_str().unwrap()).collect::<String>()
    };
    match item["type"].as_str().unwrap() {
        "function_call" => item["arguments"].as_str().unwrap().to_owned(),
        "custom_tool_call" => item["input"].as_str().unwrap().to_owned(),
        _ => parts("summary") + &parts("content"),
    }
}

pub(crate) fn of_kind<'a>(response: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    response["output"].as_array().unwrap().iter().filter(move |item| item["type"] == kind)
}

/// Says this, and stops.
pub(crate) fn says(delta: Value) -> Script {
    openai::says(&[delta], "stop")
}

pub(crate) fn asked(gateway: &Gateway) -> Value {
    gateway.sim.chats().last().expect("a request").json()
}
