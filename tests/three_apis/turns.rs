//! Conversations in which tools are called turn after turn: the upstream is asked the same, and
//! the client hears the same, whichever API they go through.

use serde_json::{Value, json};
use z2api_tests::Gateway;
use z2api_upstream_sim::{Recorded, Script, plan_fn};
use z2api_wire::event::Dialect;

use crate::answers::chunks;
use crate::api::{APIS, Api, Call, Question, Turn};
use crate::heard::{Heard, hear};

/// Two calls, then one more, then the answer: by how often the assistant has spoken.
fn plan(asked: &Recorded) -> Script {
    let body = asked.json();
    let turns = body["messages"].as_array().expect("messages").iter();
    let spoken = turns.filter(|turn| turn["role"] == "assistant").count();
    let call = |index: usize, id: &str, arguments: Value| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": "tide_at", "arguments": arguments.to_string()}}]})
    };
    let usage =
        json!({"prompt_tokens": 10 + spoken, "completion_tokens": 5, "total_tokens": 15 + spoken});
    let thought = |text: &str| json!({"reasoning_content": text});
    match spoken {
        0 => chunks(
            &[
                thought("Two ports."),
                json!({"content": "I look."}),
                call(0, "call_1", json!({"port": "Gdańsk"})),
                call(1, "call_2", json!({"port": "Brest \"W\""})),
            ],
            "tool_calls",
            &usage,
        ),
        1 => chunks(
            &[thought("One more."), call(0, "call_3", json!({"port": "Kiel", "hour": 3}))],
            "tool_calls",
            &usage,
        ),
        _ => chunks(&[thought("Now."), json!({"content": "High, low, high."})], "stop", &usage),
    }
}

/// Goes on until there is text, as an agent does; what was heard in each turn.
async fn converse(api: Api, gateway: &Gateway, stream: bool) -> Vec<Heard> {
    let mut question = Question {
        system: Some("Be brief."),
        tool: Some("tide_at"),
        thinks: Some(true),
        ..Question::new(stream)
    };
    let mut all = Vec::new();
    for _ in 0..5 {
        let heard = hear(api, api.ask(gateway, &question).await).await.whole();
        all.push(heard.clone());
        let Heard { thinking, text, calls, .. } = heard;
        if calls.is_empty() {
            return all;
        }
        let gave = |call: &Call| {
            let port = call.arguments["port"].as_str().expect("a port");
            Turn::Gave { call: call.id.clone(), text: format!("{port}: high") }
        };
        let given: Vec<Turn> = calls.iter().map(gave).collect();
        question.turns.push(Turn::Answered { thinking, text, calls });
        question.turns.extend(given);
    }
    panic!("no end: {all:?}")
}

/// A message of the upstream's request, its text as one.
fn plain(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(parts) = message["content"].as_array() {
        let texts = parts.iter().map(|part| part["text"].as_str().expect("text"));
        message["content"] = texts.collect::<String>().into();
    }
    message
}

#[tokio::test]
async fn a_loop_of_several_tool_turns_is_the_same_everywhere() {
    let mut told: Vec<Vec<Heard>> = Vec::new();
    let mut asked: Vec<Vec<Value>> = Vec::new();
    for (api, stream) in APIS.into_iter().flat_map(|api| [(api, true), (api, false)]) {
        let mode = [("THINK_TAGS_MODE", "reasoning")];
        let gateway = Gateway::with(Dialect::OpenAi, plan_fn(plan), &mode).await;
        told.push(converse(api, &gateway, stream).await);
        let bodies = gateway.sim.chats().into_iter().map(|chat| {
            let body = chat.json();
            let messages = body["messages"].as_array().expect("messages").iter();
            json!({"messages": messages.map(plain).collect::<Value>(), "tools": body["tools"],
                "max_tokens": body["max_tokens"], "thinking": body["thinking"]["type"]})
        });
        asked.push(bodies.collect());
    }
    let first = &told[0];
    assert_eq!(first.len(), 3);
    let calls: Vec<usize> = first.iter().map(|heard| heard.calls.len()).collect();
    assert_eq!(calls, [2, 1, 0]);
    assert_eq!((first[0].thinking.as_str(), first[0].text.as_str()), ("Two ports.", "I look."));
    assert_eq!(first[0].calls[1].arguments, json!({"port": "Brest \"W\""}));
    assert_eq!((first[2].text.as_str(), first[2].usage), ("High, low, high.", Some((12, 5, None))));
    for (api, heard) in told.iter().enumerate() {
        assert_eq!(heard, first, "what the client hears, {api}");
    }
    assert_eq!(asked[0].len(), 3);
    let last = asked[0][2]["messages"].as_array().expect("messages");
    let roles: Vec<&str> = last.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]);
    assert_eq!(last[2]["reasoning_content"], "Two ports.");
    for (api, bodies) in asked.iter().enumerate() {
        assert_eq!(*bodies, asked[0], "what the upstream is asked, {api}");
    }
}
