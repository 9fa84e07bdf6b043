//! A request in any of the three APIs is refused in few words, or understood without losing what it
//! asks for.

use serde_json::Value;
use z2api_stream_transform::{
    ModelTable, RequestError, Server, Understood, chat_of, messages, responses,
};
use z2api_wire::json::read;
use z2api_wire::openai::request::ChatRequest;

/// An error's sentence is for a person, and repeats next to nothing of the request.
const MAX_WORDS: usize = 600;

const SERVERS: [Server; 3] = [Server::WebChat, Server::Official, Server::Compatible];

/// Any body, in each API.
pub fn requests(body: &[u8]) {
    for server in SERVERS {
        let chat = || Ok(read::<ChatRequest>(body)?);
        understood(chat, server, body, keeps_chat);
        let message = || messages::chat_request(read(body)?);
        understood(message, server, body, keeps_message);
        let response = || Ok(responses::chat_request(read(body)?, Vec::new())?.chat);
        understood(response, server, body, keeps_response);
    }
}

fn understood(
    request: impl FnOnce() -> Result<ChatRequest, RequestError>,
    server: Server,
    body: &[u8],
    keeps: fn(&Value, &Understood),
) {
    match request().and_then(|request| chat_of(request, &ModelTable::built_in(), server)) {
        // What is passed over need not be JSON that can be kept: half a character in an escape.
        Ok(understood) => {
            if let Ok(asked) = serde_json::from_slice::<Value>(body) {
                keeps(&asked, &understood);
            }
        }
        Err(refusal) => {
            let words = refusal.to_string();
            assert!(words.len() <= MAX_WORDS, "{words}");
        }
    }
}

fn keeps_chat(asked: &Value, understood: &Understood) {
    keeps_numbers(asked, understood, &["max_completion_tokens", "max_tokens"]);
    let chat = &understood.chat;
    assert_eq!(chat.messages.len(), asked["messages"].as_array().map_or(0, Vec::len));
    keeps_texts(&asked["messages"], understood);
    keeps_words(&asked["stop"], &chat.stop);
    assert_eq!(chat.user.as_deref(), asked["user"].as_str());
    for (field, kept) in [("tools", &chat.tools), ("response_format", &chat.response_format)] {
        let kept: Option<Value> = kept.as_ref().map(|json| value(json.get()));
        let given = Some(&asked[field]).filter(|json| !json.is_null() && **json != value("[]"));
        // The oldest form of tools stands in for the newer.
        if given.is_some() || asked["functions"].is_null() {
            assert_eq!(kept.as_ref(), given, "{field}");
        }
    }
    for hint in ["prompt_cache_key", "safety_identifier", "seed", "verbosity"] {
        assert_eq!(understood.ignored.contains(&hint), !asked[hint].is_null(), "{hint}");
    }
}

fn keeps_message(asked: &Value, understood: &Understood) {
    keeps_numbers(asked, understood, &["max_tokens"]);
    keeps_texts(&asked["messages"], understood);
    keeps_texts(&Value::from(vec![with_content(&asked["system"])]), understood);
    keeps_words(&asked["stop_sequences"], &understood.stop);
    let tools = understood.chat.tools.as_ref().map_or(Value::Null, |json| value(json.get()));
    let own = |tool: &&Value| tool["type"].is_null() || tool["type"] == "custom";
    for tool in list(&asked["tools"]).filter(own) {
        let kept = list(&tools).map(|kept| &kept["function"]);
        let like = |kept: &Value| {
            kept["name"] == tool["name"] && kept["parameters"] == tool["input_schema"]
        };
        assert!(kept.into_iter().any(like), "{tool} in {tools}");
    }
}

fn keeps_response(asked: &Value, understood: &Understood) {
    keeps_numbers(asked, understood, &["max_output_tokens"]);
    match &asked["input"] {
        text @ Value::String(_) => {
            keeps_texts(&Value::from(vec![with_content(text)]), understood);
        }
        items => {
            let is_message = |item: &&Value| item["type"].is_null() || item["type"] == "message";
            let messages: Vec<Value> = list(items).filter(is_message).cloned().collect();
            keeps_texts(&Value::from(messages), understood);
        }
    }
    keeps_texts(&Value::from(vec![with_content(&asked["instructions"])]), understood);
    assert_eq!(understood.chat.user.as_deref(), asked["user"].as_str());
}

fn keeps_numbers(asked: &Value, understood: &Understood, limits: &[&str]) {
    let chat = &understood.chat;
    assert_eq!(chat.temperature, asked["temperature"].as_f64());
    assert_eq!(chat.top_p, asked["top_p"].as_f64());
    assert_eq!(chat.max_tokens, limits.iter().find_map(|name| asked[name].as_u64()));
}

/// Each text that a turn says is said to the upstream.
fn keeps_texts(turns: &Value, understood: &Understood) {
    let sent = serde_json::to_value(&understood.chat.messages).expect("messages are JSON");
    let sent: Vec<&str> = list(&sent).flat_map(texts).collect();
    for text in list(turns).flat_map(texts) {
        assert!(sent.contains(&text), "{text:?} in {sent:?}");
    }
}

fn keeps_words(asked: &Value, kept: &[String]) {
    let words = asked.as_str().into_iter().chain(list(asked).filter_map(Value::as_str));
    assert!(words.eq(kept), "{asked} as {kept:?}");
}

/// What a turn says: its content, or the text of each part of it.
fn texts(turn: &Value) -> Vec<&str> {
    const TEXT: [&str; 3] = ["text", "input_text", "output_text"];
    let is_text = |part: &&Value| part["type"].as_str().is_some_and(|kind| TEXT.contains(&kind));
    let content = &turn["content"];
    let parts = list(content).filter(is_text).filter_map(|part| part["text"].as_str());
    content.as_str().into_iter().chain(parts).collect()
}

fn with_content(content: &Value) -> Value {
    serde_json::json!({"content": content})
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}
