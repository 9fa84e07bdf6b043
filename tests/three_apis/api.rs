//! The same question in the words of each API.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, Reply};

pub(crate) const APIS: [Api; 3] = [Api::Chat, Api::Messages, Api::Responses];

/// An API that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Messages,
    Responses,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

/// A turn of a conversation.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Asked(String),
    Answered { thinking: String, text: String, calls: Vec<Call> },
    Gave { call: String, text: String },
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) system: Option<&'static str>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tool: Option<&'static str>,
    pub(crate) thinks: Option<bool>,
    pub(crate) stream: bool,
}

impl Question {
    pub(crate) fn new(stream: bool) -> Self {
        let turns = vec![Turn::Asked("How do tides work?".to_owned())];
        Self { system: None, turns, tool: None, thinks: None, stream }
    }
}

impl Api {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    pub(crate) async fn ask(self, gateway: &Gateway, question: &Question) -> Reply {
        self.send(gateway, KEY, &[], &self.body(question).to_string()).await
    }

    /// Sends a body with a key, as this API's clients send it.
    pub(crate) async fn send(
        self,
        gateway: &Gateway,
        key: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let bearer = format!("Bearer {key}");
        let own = match self {
            Self::Messages => ("x-api-key", key),
            Self::Chat | Self::Responses => ("authorization", bearer.as_str()),
        };
        let headers = [&[own], headers].concat();
        gateway.send("POST", self.path(), &headers, body.as_bytes()).await
    }

    pub(crate) fn body(self, question: &Question) -> Value {
        let Question { system, turns, tool, thinks, stream } = question;
        let schema = json!({"type": "object"});
        let mut body = json!({"model": "GLM-4.6", "stream": stream});
        match self {
            Self::Chat => {
                let first = system.map(|text| json!({"role": "system", "content": text}));
                let turns = first.into_iter().chain(turns.iter().map(chat_turn));
                body["messages"] = turns.collect();
                body["max_tokens"] = json!(100);
                if *stream {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
            Self::Messages => {
                if let Some(text) = system {
                    body["system"] = json!(text);
                }
                body["messages"] = message_turns(turns);
                body["max_tokens"] = json!(100);
            }
            Self::Responses => {
                if let Some(text) = system {
                    body["instructions"] = json!(text);
                }
                body["input"] = turns.iter().flat_map(items).collect();
                body["max_output_tokens"] = json!(100);
            }
        }
        if let Some(name) = tool {
            body["tools"] = match self {
                Self::Chat => json!([{"type": "function", "function":
                    {"name": name, "parameters": schema}}]),
                Self::Messages => json!([{"name": name, "input_schema": schema}]),
                Self::Responses => {
                    json!([{"type": "function", "name": name, "parameters": schema}])
                }
            };
        }
        if let Some(thinks) = thinks {
            let kind = if *thinks { "enabled" } else { "disabled" };
            match self {
                Self::Chat | Self::Messages => body["thinking"] = json!({"type": kind}),
                Self::Responses => {
                    let effort = if *thinks { "medium" } else { "none" };
                    body["reasoning"] = json!({"effort": effort});
                }
            }
        }
        body
    }
}

fn chat_turn(turn: &Turn) -> Value {
    match turn {
        Turn::Asked(text) => json!({"role": "user", "content": text}),
        Turn::Answered { thinking, text, calls } => {
            let call = |call: &Call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments.to_string()}})
            };
            let mut turn = json!({"role": "assistant", "reasoning_content": thinking});
            if !text.is_empty() {
                turn["content"] = json!(text);
            }
            if !calls.is_empty() {
                turn["tool_calls"] = calls.iter().map(call).collect();
            }
            turn
        }
        Turn::Gave { call, text } => json!({"role": "tool", "tool_call_id": call, "content": text}),
    }
}

/// What tools gave in a row is one turn of the user's.
fn message_turns(turns: &[Turn]) -> Value {
    let mut messages: Vec<Value> = Vec::new();
    for turn in turns {
        let (role, blocks) = match turn {
            Turn::Asked(text) => ("user", vec![json!({"type": "text", "text": text})]),
            Turn::Answered { thinking, text, calls } => {
                let mut blocks =
                    vec![json!({"type": "thinking", "thinking": thinking, "signature": "z2api"})];
                blocks.extend((!text.is_empty()).then(|| json!({"type": "text", "text": text})));
                blocks.extend(calls.iter().map(|call| {
                    json!({"type": "tool_use", "id": call.id, "name": call.name,
                        "input": call.arguments})
                }));
                ("assistant", blocks)
            }
            Turn::Gave { call, text } => {
                ("user", vec![json!({"type": "tool_result", "tool_use_id": call, "content": text})])
            }
        };
        match messages.last_mut() {
            Some(last) if last["role"] == role => {
                last["content"].as_array_mut().expect("blocks").extend(blocks);
            }
            _ => messages.push(json!({"role": role, "content": blocks})),
        }
    }
    messages.into()
}

fn items(turn: &Turn) -> Vec<Value> {
    match turn {
        Turn::Asked(text) => vec![json!({"role": "user", "content": text})],
        Turn::Answered { thinking, text, calls } => {
            let thought = json!({"type": "reasoning", "summary": [],
                "content": [{"type": "reasoning_text", "text": thinking}]});
            let said = json!({"type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": text}]});
            let said = (!text.is_empty()).then_some(said);
            let calls = calls.iter().map(|call| {
                json!({"type": "function_call", "call_id": call.id, "name": call.name,
                    "arguments": call.arguments.to_string()})
            });
            [thought].into_iter().chain(said).chain(calls).collect()
        }
        Turn::Gave { call, text } => {
            vec![json!({"type": "function_call_output", "call_id": call, "output": text})]
        }
    }
}
