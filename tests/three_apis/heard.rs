//! What a client hears of an answer, whichever API it speaks.

use serde_json::Value;
use z2api_tests::Reply;

use crate::api::{Api, Call};

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) thinking: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    /// Why it ended, in Chat's words.
    pub(crate) end: String,
    /// Counts that are known: of the request with what was cached, of the answer, cached.
    pub(crate) usage: Option<(u64, u64, Option<u64>)>,
}

/// An error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// The type, in Anthropic's words for Messages and in OpenAI's otherwise. None where a stream
    /// of responses breaks: it tells the code alone.
    pub(crate) kind: Option<String>,
    /// None in Messages, which have no codes.
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) should_retry: Option<String>,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Whole(Heard),
    Refused(Failure),
    /// A stream that broke off, and the text up to there.
    Broken(String, Failure),
}

impl Outcome {
    pub(crate) fn whole(self) -> Heard {
        match self {
            Self::Whole(heard) => heard,
            other => panic!("not whole: {other:?}"),
        }
    }

    pub(crate) fn refused(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// Hears an answer to its end.
pub(crate) async fn hear(api: Api, reply: Reply) -> Outcome {
    let status = reply.status;
    let header = |name: &str| reply.header(name).map(str::to_owned);
    let (retry_after, should_retry) = (header("retry-after"), header("x-should-retry"));
    if status != 200 {
        let id = header("x-request-id");
        let body = reply.json().await;
        if api == Api::Messages {
            assert_eq!(body["request_id"].as_str().map(str::to_owned), id, "{body}");
        }
        let failure = failure_of(status, &body["error"]);
        return Outcome::Refused(Failure { retry_after, should_retry, ..failure });
    }
    if header("content-type").as_deref() != Some("text/event-stream") {
        return Outcome::Whole(whole(api, &reply.json().await));
    }
    let events = reply.events().await;
    let parsed: Vec<Value> = events.iter().filter_map(|e| serde_json::from_str(e).ok()).collect();
    match api {
        Api::Chat => chat_stream(&parsed, events.last().is_some_and(|last| last == "[DONE]")),
        Api::Messages => message_stream(&parsed),
        Api::Responses => response_stream(&parsed),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn failure_of(status: u16, error: &Value) -> Failure {
    let some = |name: &str| error[name].as_str().map(str::to_owned);
    Failure {
        status,
        kind: some("type"),
        code: some("code"),
        param: some("param"),
        message: some("message").expect("a message"),
        retry_after: None,
        should_retry: None,
    }
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into())
}

fn whole(api: Api, body: &Value) -> Heard {
    match api {
        Api::Chat => {
            let choice = &body["choices"][0];
            let message = &choice["message"];
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            Heard {
                thinking: text(&message["reasoning_content"]),
                text: text(&message["content"]),
                calls: calls.map(chat_call).collect(),
                end: text(&choice["finish_reason"]),
                usage: chat_usage(&body["usage"]),
            }
        }
        Api::Messages => message(body),
        Api::Responses => response(body),
    }
}

fn chat_call(call: &Value) -> Call {
    let function = &call["function"];
    let arguments = parsed(function["arguments"].as_str().unwrap_or_default());
    Call { id: text(&call["id"]), name: text(&function["name"]), arguments }
}

fn chat_usage(usage: &Value) -> Option<(u64, u64, Option<u64>)> {
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().filter(|c| *c > 0);
    Some((usage["prompt_tokens"].as_u64()?, usage["completion_tokens"].as_u64()?, cached))
}

fn chat_stream(chunks: &[Value], done: bool) -> Outcome {
    let mut heard = Heard::default();
    let mut calls: Vec<Value> = Vec::new();
    for chunk in chunks {
        if chunk.get("error").is_some() {
            assert!(!done && heard.end.is_empty(), "an error is the end: {chunks:?}");
            return Outcome::Broken(heard.text, failure_of(200, &chunk["error"]));
        }
        heard.usage = heard.usage.or(chat_usage(&chunk["usage"]));
        let delta = &chunk["choices"][0]["delta"];
        heard.text += delta["content"].as_str().unwrap_or_default();
        heard.thinking += delta["reasoning_content"].as_str().unwrap_or_default();
        heard.end += chunk["choices"][0]["finish_reason"].as_str().unwrap_or_default();
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            match calls.iter_mut().find(|call| call["index"] == piece["index"]) {
                None => calls.push(piece.clone()),
                Some(call) => {
                    let more = text(&piece["function"]["arguments"]);
                    let all = text(&call["function"]["arguments"]) + &more;
                    call["function"]["arguments"] = all.into();
                }
            }
        }
    }
    assert!(done && !heard.end.is_empty(), "neither whole nor an error: {chunks:?}");
    heard.calls = calls.iter().map(chat_call).collect();
    Outcome::Whole(heard)
}

fn message(body: &Value) -> Heard {
    let mut heard = Heard::default();
    for block in body["content"].as_array().expect("blocks") {
        match block["type"].as_str().expect("a type") {
            "thinking" => heard.thinking += &text(&block["thinking"]),
            "text" => heard.text += &text(&block["text"]),
            "tool_use" => heard.calls.push(Call {
                id: text(&block["id"]),
                name: text(&block["name"]),
                arguments: block["input"].clone(),
            }),
            other => panic!("{other}"),
        }
    }
    heard.end = match body["stop_reason"].as_str().expect("a reason") {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => panic!("{other}"),
    }
    .to_owned();
    let usage = &body["usage"];
    let cached = usage["cache_read_input_tokens"].as_u64().filter(|cached| *cached > 0);
    let input = usage["input_tokens"].as_u64().expect("a count") + cached.unwrap_or(0);
    let output = usage["output_tokens"].as_u64().expect("a count");
    heard.usage = (usage["estimated"] != true).then_some((input, output, cached));
    heard
}

fn message_stream(events: &[Value]) -> Outcome {
    let mut body = events[0]["message"].clone();
    let mut blocks: Vec<Value> = Vec::new();
    for event in events {
        match event["type"].as_str().expect("a type") {
            "error" => {
                let said = blocks.iter().map(|block| text(&block["text"])).collect();
                return Outcome::Broken(said, failure_of(200, &event["error"]));
            }
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let block = blocks.last_mut().expect("a block");
                for (delta, field) in
                    [("text", "text"), ("thinking", "thinking"), ("partial_json", "json")]
                {
                    if let Some(more) = event["delta"][delta].as_str() {
                        block[field] = (text(&block[field]) + more).into();
                    }
                }
            }
            "message_delta" => {
                body["stop_reason"] = event["delta"]["stop_reason"].clone();
                body["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    assert_eq!(events.last().expect("events")["type"], "message_stop", "{events:?}");
    for block in &mut blocks {
        if let Some(json) = block["json"].as_str().filter(|json| !json.is_empty()) {
            block["input"] = parsed(json);
        }
    }
    body["content"] = blocks.into();
    Outcome::Whole(message(&body))
}

fn response(body: &Value) -> Heard {
    let mut heard = Heard::default();
    let parts = |list: &Value| -> String {
        list.as_array().into_iter().flatten().map(|part| text(&part["text"])).collect()
    };
    for item in body["output"].as_array().expect("items") {
        match item["type"].as_str().expect("a type") {
            "reasoning" => heard.thinking += &(parts(&item["summary"]) + &parts(&item["content"])),
            "message" => heard.text += &parts(&item["content"]),
            "function_call" => heard.calls.push(Call {
                id: text(&item["call_id"]),
                name: text(&item["name"]),
                arguments: parsed(item["arguments"].as_str().expect("arguments")),
            }),
            other => panic!("{other}"),
        }
    }
    heard.end = match body["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => "length",
        Some("content_filter") => "content_filter",
        None if heard.calls.is_empty() => "stop",
        None => "tool_calls",
        Some(other) => panic!("{other}"),
    }
    .to_owned();
    let usage = &body["usage"];
    let counts = usage["input_tokens"].as_u64().zip(usage["output_tokens"].as_u64());
    let cached =
        usage["input_tokens_details"]["cached_tokens"].as_u64().filter(|cached| *cached > 0);
    heard.usage = counts.map(|(input, output)| (input, output, cached));
    heard
}

fn response_stream(events: &[Value]) -> Outcome {
    let last = events.last().expect("events");
    if last["type"] == "response.failed" {
        let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
        let said = deltas.map(|event| text(&event["delta"])).collect();
        return Outcome::Broken(said, failure_of(200, &last["response"]["error"]));
    }
    Outcome::Whole(response(&last["response"]))
}
