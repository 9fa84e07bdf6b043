//! What a client learns from an answer, in Chat Completions or in the Responses API.

use serde_json::Value;
use z2api_tests::Reply;

use crate::{of_kind, text_of};

/// What a client learns from an answer, in whichever API.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Learnt {
    status: u16,
    text: String,
    thinking: String,
    /// Id, name and arguments.
    calls: Vec<[String; 3]>,
    /// Pages, with the stretch of text that rests on each.
    cited: Vec<(String, String, u64, u64)>,
    /// Why the answer ended: `stop`, `length` or `content_filter`.
    ended: Option<String>,
    /// Prompt, completion, all; cached, reasoning.
    usage: Option<[u64; 5]>,
    /// Code and message.
    error: Option<[String; 2]>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

impl Learnt {
    /// An answer that is no stream.
    fn refused(status: u16, body: &Value) -> Self {
        let error = Some(["code", "message"].map(|field| text(&body["error"][field])));
        Self { status, error, ..Self::default() }
    }

    /// From the message (or the delta) of a choice.
    fn hear_chat(&mut self, message: &Value) {
        self.text += &text(&message["content"]);
        self.thinking += &text(&message["reasoning_content"]);
        for (at, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let at = call["index"].as_u64().map_or(at, |index| index as usize);
            self.calls.resize(self.calls.len().max(at + 1), Default::default());
            let function = &call["function"];
            let pieces = [&call["id"], &function["name"], &function["arguments"]];
            for (held, piece) in self.calls[at].iter_mut().zip(pieces) {
                *held += &text(piece);
            }
        }
        for annotation in message["annotations"].as_array().into_iter().flatten() {
            self.cite(&annotation["url_citation"]);
        }
    }

    fn cite(&mut self, page: &Value) {
        let place = (number(&page["start_index"]), number(&page["end_index"]));
        self.cited.push((text(&page["url"]), text(&page["title"]), place.0, place.1));
    }

    /// A chunk, or a completion.
    fn hear_choice(&mut self, body: &Value) {
        let choice = &body["choices"][0];
        self.hear_chat(choice.get("message").unwrap_or(&choice["delta"]));
        self.ended = self.ended.take().or(choice["finish_reason"].as_str().map(|reason| {
            if reason == "tool_calls" { "stop".to_owned() } else { reason.to_owned() }
        }));
        if let Some(usage) = body.get("usage").filter(|usage| !usage.is_null()) {
            let plain =
                ["prompt_tokens", "completion_tokens", "total_tokens"].map(|n| number(&usage[n]));
            let cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
            let reasoning = number(&usage["completion_tokens_details"]["reasoning_tokens"]);
            self.usage = Some([plain[0], plain[1], plain[2], cached, reasoning]);
        }
    }

    pub(crate) async fn of_chat(reply: Reply) -> Self {
        let status = reply.status;
        if !is_stream(&reply) {
            let body = reply.json().await;
            if status != 200 {
                return Self::refused(status, &body);
            }
            let mut learnt = Self { status, ..Self::default() };
            learnt.hear_choice(&body);
            return learnt;
        }
        let mut learnt = Self { status, ..Self::default() };
        for event in reply.events().await.iter().filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).expect("JSON");
            match chunk.get("error") {
                Some(_) => learnt.error = Self::refused(status, &chunk).error,
                None => learnt.hear_choice(&chunk),
            }
        }
        learnt
    }

    pub(crate) async fn of_responses(reply: Reply) -> Self {
        let status = reply.status;
        if !is_stream(&reply) {
            let body = reply.json().await;
            if status != 200 {
                return Self::refused(status, &body);
            }
            return Self::of_response(&body);
        }
        let events = reply.events().await;
        let events: Vec<Value> =
            events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
        let response = &events.last().expect("an event")["response"];
        let mut learnt = Self::of_response(response);
        if response["status"] == "failed" {
            // What was heard before, as far as it goes.
            for event in &events {
                let delta = text(&event["delta"]);
                match event["type"].as_str().expect("a type") {
                    "response.output_text.delta" => learnt.text += &delta,
                    "response.reasoning_text.delta" => learnt.thinking += &delta,
                    _ => {}
                }
            }
        }
        learnt
    }

    fn of_response(response: &Value) -> Self {
        let mut learnt = Self { status: 200, ..Self::default() };
        if response["status"] == "failed" {
            learnt.error = Self::refused(200, response).error;
            return learnt;
        }
        let parts = |kind| of_kind(response, kind).map(text_of).collect::<String>();
        (learnt.text, learnt.thinking) = (parts("message"), parts("reasoning"));
        let calls = of_kind(response, "function_call");
        learnt.calls = calls
            .map(|call| ["call_id", "name", "arguments"].map(|field| text(&call[field])))
            .collect();
        for message in of_kind(response, "message") {
            let cited = message["content"][0]["annotations"].as_array().into_iter().flatten();
            cited.for_each(|page| learnt.cite(page));
        }
        learnt.ended = Some(match response["incomplete_details"]["reason"].as_str() {
            None => "stop".to_owned(),
            Some("max_output_tokens") => "length".to_owned(),
            Some(other) => other.to_owned(),
        });
        let usage = &response["usage"];
        learnt.usage = (!usage.is_null()).then(|| {
            [
                number(&usage["input_tokens"]),
                number(&usage["output_tokens"]),
                number(&usage["total_tokens"]),
                number(&usage["input_tokens_details"]["cached_tokens"]),
                number(&usage["output_tokens_details"]["reasoning_tokens"]),
            ]
        });
        learnt
    }
}

fn is_stream(reply: &Reply) -> bool {
    reply.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
}
