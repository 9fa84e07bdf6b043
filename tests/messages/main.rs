//! Anthropic's Messages API over the same path: the same words, usage and errors as in Chat
//! Completions.

mod counts;
mod errors;
mod requests;
mod streams;

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, Reply, openai};
use z2api_upstream_sim::Script;

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    let headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")];
    gateway.send("POST", path, &headers, body.to_string().as_bytes()).await
}

async fn ask(gateway: &Gateway, fields: Value) -> Reply {
    let mut body = json!({"model": "GLM-4.6", "max_tokens": 100,
        "messages": [{"role": "user", "content": "How do tides work?"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    post(gateway, "/v1/messages", &body).await
}

/// What a client puts together from the events, as a message; or the error that ended it.
fn gather(events: &[String]) -> Result<Value, Value> {
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    assert_eq!(events[0]["type"], "message_start", "{events:?}");
    let mut message = events[0]["message"].clone();
    let mut open: Option<(Value, String)> = None;
    let mut ended = false;
    for event in &events[1..] {
        assert!(!ended, "nothing follows the end: {event}");
        match event["type"].as_str().unwrap() {
            "ping" => {}
            "content_block_start" => {
                assert!(open.is_none(), "one block at a time: {event}");
                assert_eq!(event["index"], message["content"].as_array().unwrap().len());
                open = Some((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                let (block, json) = open.as_mut().expect("an open block");
                let delta = &event["delta"];
                let field = match delta["type"].as_str().unwrap() {
                    "text_delta" => "text",
                    "thinking_delta" => "thinking",
                    "signature_delta" => "signature",
                    "input_json_delta" => {
                        *json += delta["partial_json"].as_str().unwrap();
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let text = block[field].as_str().unwrap().to_owned();
                block[field] = (text + delta[field].as_str().unwrap()).into();
            }
            "content_block_stop" => {
                let (mut block, json) = open.take().expect("an open block");
                if !json.is_empty() {
                    block["input"] = serde_json::from_str(&json).unwrap_or(Value::String(json));
                }
                message["content"].as_array_mut().unwrap().push(block);
            }
            "message_delta" => {
                assert!(open.is_none());
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => ended = true,
            "error" => return Err(event["error"].clone()),
            other => panic!("{other}"),
        }
    }
    assert!(ended, "neither an end nor an error: {events:?}");
    Ok(message)
}

async fn message_of(reply: Reply, stream: bool) -> Value {
    assert_eq!(reply.status, 200);
    if stream { gather(&reply.events().await).expect("a message") } else { reply.json().await }
}

fn answer(text: &str) -> Script {
    openai::says(&[json!({"content": text})], "stop")
}
