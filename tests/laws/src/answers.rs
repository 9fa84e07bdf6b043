//! An answer is told whole and in the same words in each API, streamed or not; or the API that has
//! no words for it says so.

use serde_json::Value;
use z2api_stream_transform::{
    AnswerId, CallForm, Chunks, Encoder, Fold, Options, TextChunks, ThinkMode, completion,
    messages, responses,
};
use z2api_wire::Malformed;
use z2api_wire::event::{Dialect, Event};
use z2api_wire::json::read;

use crate::reference;

/// Any bytes, in both dialects.
pub fn answers(bytes: &[u8]) {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let (events, read) = reference::events(dialect, bytes);
        for mode in ThinkMode::ALL {
            let answer =
                Answer { options: Options::new(dialect, mode), events: &events, read: &read };
            let heard = answer.as_chunks();
            answer.as_completion(&heard);
            answer.as_text(&heard);
            answer.as_message(&heard, false);
            answer.as_message(&heard, true);
            answer.as_response(&heard);
        }
    }
}

/// What a client hears of an answer.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    thinking: String,
    text: String,
    /// Name and arguments.
    calls: Vec<(String, String)>,
    /// Whether it has come to its end.
    whole: bool,
}

/// An answer of the upstream.
struct Answer<'a> {
    options: Options,
    events: &'a [Event<'static>],
    read: &'a Result<(), Malformed>,
}

fn id() -> AnswerId {
    AnswerId { id: "chatcmpl-0".into(), created: 1, model: "GLM-4.5".into() }
}

impl Answer<'_> {
    /// The data of all events that an encoder writes.
    fn told(&self, mut encoder: impl Encoder) -> Vec<String> {
        reference::say(self.options.clone(), self.events, self.read, &mut encoder);
        let stream = encoder.take();
        assert!(stream.is_empty() || stream.ends_with(b"\n\n"), "{stream:?}");
        let datas = reference::datas(&stream).into_iter();
        datas.map(|data| String::from_utf8(data).expect("UTF-8")).collect()
    }

    fn as_chunks(&self) -> Heard {
        let mut heard = Heard::default();
        let (mut indices, mut ends) = (Vec::new(), 0);
        for data in self.told(Chunks::new(&id(), false)) {
            assert!(!heard.whole, "nothing follows [DONE]");
            if data == "[DONE]" {
                heard.whole = true;
                continue;
            }
            let choice = &json(&data)["choices"][0];
            let delta = &choice["delta"];
            heard.text += text(&delta["content"]);
            heard.thinking += text(&delta["reasoning_content"]);
            for call in list(&delta["tool_calls"]) {
                let index = call["index"].as_u64().expect("an index");
                let calls = &mut heard.calls;
                // In the order in which they are told, as elsewhere.
                let at = indices.iter().position(|known| *known == index).unwrap_or(calls.len());
                if at == calls.len() {
                    indices.push(index);
                    calls.push(Default::default());
                }
                calls[at].0 += text(&call["function"]["name"]);
                calls[at].1 += text(&call["function"]["arguments"]);
            }
            ends += usize::from(!choice["finish_reason"].is_null());
        }
        assert_eq!(ends, usize::from(heard.whole));
        heard
    }

    fn as_completion(&self, heard: &Heard) {
        let mut fold = Fold::default();
        reference::say(self.options.clone(), self.events, self.read, &mut fold);
        assert_eq!(fold.whole().is_some(), heard.whole);
        let Some(whole) = fold.whole() else { return };
        let completion = completion(whole, &id(), CallForm::Tools);
        let message =
            &json(std::str::from_utf8(&completion).expect("UTF-8"))["choices"][0]["message"];
        assert_eq!(text(&message["content"]), heard.text);
        assert_eq!(text(&message["reasoning_content"]), heard.thinking);
        let called = |call: &Value| {
            let function = &call["function"];
            (text(&function["name"]).to_owned(), text(&function["arguments"]).to_owned())
        };
        assert!(list(&message["tool_calls"]).map(called).eq(heard.calls.iter().cloned()));
    }

    fn as_text(&self, heard: &Heard) {
        let mut datas = self.told(TextChunks::new(&id(), false));
        let whole = datas.pop_if(|last| last == "[DONE]").is_some();
        let choices: Vec<Value> =
            datas.iter().map(|data| json(data)["choices"][0].clone()).collect();
        let of =
            |field: &str| choices.iter().map(|choice| text(&choice[field])).collect::<String>();
        assert_eq!(
            (of("text"), of("reasoning_content")),
            (heard.text.clone(), heard.thinking.clone())
        );
        assert_eq!(whole, heard.whole);
    }

    fn as_message(&self, heard: &Heard, hides_thinking: bool) {
        let asked = messages::Asked { request_id: "r".into(), input_tokens: 1, hides_thinking };
        let events = self.told(messages::MessageEvents::new(&id(), asked));
        let mut told = Message::default();
        events.iter().for_each(|event| told.hear(&json(event)));
        let hidden = if hides_thinking { "" } else { &heard.thinking };
        told.said.check(heard, hidden, true);
    }

    fn as_response(&self, heard: &Heard) {
        let request = read(br#"{"model":"GLM-4.5","input":"x"}"#).expect("a request");
        let asked = responses::chat_request(request, Vec::new()).expect("a chat");
        let frame = asked.frame.named(&id());
        let events = self.told(responses::ResponseEvents::new(frame, None));
        let mut told = Response::default();
        for (at, event) in events.iter().enumerate() {
            let event = json(event);
            assert_eq!(event["sequence_number"], at, "{event}");
            told.hear(&event);
        }
        told.said.check(heard, &heard.thinking, false);
    }
}

impl Heard {
    /// All that Chat tells, or the beginning of it where the API has no words for the answer.
    fn check(&self, chat: &Self, thinking: &str, may_refuse: bool) {
        if self.whole {
            assert!(chat.whole);
            assert_eq!(
                (self.text.as_str(), self.thinking.as_str()),
                (chat.text.as_str(), thinking)
            );
            assert_eq!(self.calls, chat.calls);
        } else if chat.whole {
            let unsayable = may_refuse || chat.calls.len() > 1;
            assert!(unsayable && !chat.calls.is_empty(), "{self:?} of {chat:?}");
        }
        assert!(chat.text.starts_with(&self.text), "{self:?} of {chat:?}");
        assert!(thinking.starts_with(&self.thinking), "{self:?} of {chat:?}");
    }
}

/// A streamed message as it is put together.
#[derive(Default)]
struct Message {
    said: Heard,
    begun: bool,
    /// Blocks begun, and whether the last is open.
    blocks: usize,
    open: bool,
    stop_reason: bool,
}

impl Message {
    fn hear(&mut self, event: &Value) {
        let kind = text(&event["type"]);
        assert!(!self.said.whole, "nothing follows message_stop");
        assert_eq!(self.begun, kind != "message_start", "{event}");
        if kind.starts_with("content_block") {
            let begins = usize::from(kind == "content_block_start");
            assert_eq!(event["index"], self.blocks + begins - 1, "{event}");
            assert_eq!(self.open, begins == 0, "{event}");
        }
        match kind {
            "message_start" => self.begun = true,
            "content_block_start" => {
                (self.blocks, self.open) = (self.blocks + 1, true);
                let block = &event["content_block"];
                if block["type"] == "tool_use" {
                    self.said.calls.push((text(&block["name"]).to_owned(), String::new()));
                }
            }
            "content_block_delta" => self.said.add(&event["delta"]),
            "content_block_stop" => self.open = false,
            "message_delta" => {
                assert!(!self.open && !std::mem::replace(&mut self.stop_reason, true), "{event}");
                assert!(event["delta"]["stop_reason"].is_string(), "{event}");
            }
            "message_stop" => {
                assert!(self.stop_reason, "a reason comes first");
                self.said.whole = true;
            }
            other => panic!("{other}"),
        }
    }
}

impl Heard {
    /// A delta of a message.
    fn add(&mut self, delta: &Value) {
        match text(&delta["type"]) {
            "text_delta" => self.text += text(&delta["text"]),
            "thinking_delta" => self.thinking += text(&delta["thinking"]),
            "signature_delta" => assert!(delta["signature"].is_string(), "{delta}"),
            "input_json_delta" => {
                let (_, arguments) = self.calls.last_mut().expect("a call");
                *arguments += text(&delta["partial_json"]);
            }
            other => panic!("{other}"),
        }
    }
}

/// A streamed response as it is put together.
#[derive(Default)]
struct Response {
    said: Heard,
    /// Items begun, and what the deltas of the open one say.
    items: usize,
    open: Option<String>,
}

impl Response {
    fn hear(&mut self, event: &Value) {
        assert!(!self.said.whole, "nothing follows the end");
        match text(&event["type"]) {
            "response.output_item.added" => {
                assert_eq!(
                    (event["output_index"].as_u64(), &self.open),
                    (Some(self.items as u64), &None)
                );
                (self.items, self.open) = (self.items + 1, Some(String::new()));
            }
            "response.output_item.done" => {
                let deltas = self.open.take().expect("an item");
                assert_eq!(self.said.add_item(&event["item"]), deltas, "{event}");
            }
            "response.completed" | "response.incomplete" => {
                assert_eq!(self.open, None);
                let mut whole = Heard { whole: true, ..Heard::default() };
                list(&event["response"]["output"]).for_each(|item| drop(whole.add_item(item)));
                self.said.whole = true;
                assert_eq!(whole, self.said);
            }
            kind if kind.ends_with(".delta") => {
                *self.open.as_mut().expect("an item") += text(&event["delta"]);
            }
            kind => assert!(kind.starts_with("response."), "{kind}"),
        }
    }
}

impl Heard {
    /// An item of a response. Answers its text.
    fn add_item(&mut self, item: &Value) -> String {
        let parts: String = list(&item["content"]).map(|part| text(&part["text"])).collect();
        match text(&item["type"]) {
            "message" => self.text += &parts,
            "reasoning" => self.thinking += &parts,
            "function_call" => {
                let arguments = text(&item["arguments"]).to_owned();
                self.calls.push((text(&item["name"]).to_owned(), arguments.clone()));
                return arguments;
            }
            other => panic!("{other}"),
        }
        parts
    }
}

fn json(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
