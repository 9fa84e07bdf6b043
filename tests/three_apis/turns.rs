//! Conversations in which tools are called turn after turn: the upstream is asked the same, and
//! the client hears the same, whichever API they go through.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY};
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

/// What is said between two calls, before either is answered, is part of their turn.
#[tokio::test]
async fn a_call_stays_with_its_outcome_whatever_is_said_between() {
    let script = chunks(&[json!({"content": "High."})], "stop", &Value::Null);
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let arguments = json!({"port": "Kiel"});
    let question = json!({"role": "user", "content": "Where is it high?"});
    let called = |id: &str| {
        json!({"id": id, "type": "function",
            "function": {"name": "tide_at", "arguments": arguments.to_string()}})
    };
    let gave = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "high"});
    let in_chat = json!([question,
        {"role": "assistant", "reasoning_content": "Two.\n\nOne more.", "content": "And there.",
            "tool_calls": [called("c1"), called("c2")]},
        gave("c1"), gave("c2")]);
    let tool_use =
        |id: &str| json!({"type": "tool_use", "id": id, "name": "tide_at", "input": arguments});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "high"});
    let thinking = |text: &str| json!({"type": "thinking", "thinking": text, "signature": "z2api"});
    let in_messages = json!([question,
        {"role": "assistant", "content": [thinking("Two."), tool_use("c1"),
            {"type": "text", "text": "And there."}, thinking("One more."), tool_use("c2")]},
        {"role": "user", "content": [result("c1"), result("c2")]}]);
    let reasoning = |text: &str| {
        json!({"type": "reasoning", "summary": [],
            "content": [{"type": "reasoning_text", "text": text}]})
    };
    let call = |id: &str| {
        json!({"type": "function_call", "call_id": id, "name": "tide_at",
            "arguments": arguments.to_string()})
    };
    let output =
        |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "high"});
    let said = json!({"type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": "And there."}]});
    let at_the_end = json!([
        question,
        reasoning("Two."),
        call("c1"),
        said,
        reasoning("One more."),
        call("c2"),
        output("c1"),
        output("c2")
    ]);
    let early = json!([
        question,
        reasoning("Two."),
        call("c1"),
        call("c2"),
        output("c1"),
        said,
        reasoning("One more."),
        output("c2")
    ]);
    for (api, field, turns) in [
        (Api::Chat, "messages", in_chat.clone()),
        (Api::Messages, "messages", in_messages),
        (Api::Responses, "input", at_the_end),
        (Api::Responses, "input", early),
    ] {
        let mut body = api.body(&Question { tool: Some("tide_at"), ..Question::new(false) });
        body[field] = turns;
        let reply = api.send(&gateway, KEY, &[], &body.to_string()).await;
        hear(api, reply).await.whole();
        let asked = gateway.sim.chats().pop().expect("a request").json();
        let messages: Value =
            asked["messages"].as_array().expect("messages").iter().map(plain).collect();
        assert_eq!(messages, in_chat, "{api:?}, {body}");
    }
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
