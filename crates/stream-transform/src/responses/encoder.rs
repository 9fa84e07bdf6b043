//! The sink that writes a streamed response of the Responses API.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::json;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};
use z2api_wire::openai::error::ErrorObject;

use super::output::{Failure, Frame, Item, Response, Status, output_text};
use crate::encoder::Encoder;
use crate::escape::push_escaped;
use crate::fold::Fold;
use crate::sink::{Annotation, Sink, Unsayable};

/// Is given the whole answer and its response's JSON, once both are there.
pub type OnWhole = Box<dyn FnOnce(&Fold, &[u8]) + Send>;

/// Writes the events of a response, numbered: `response.created`, then one item after the other,
/// then `response.completed` or what became of it. The last event repeats all of the output, so
/// that it is kept until then.
pub struct ResponseEvents {
    out: BytesMut,
    sequence: u64,
    frame: Frame,
    /// Items that are done.
    output: Vec<Item>,
    open: Option<Open>,
    in_delta: bool,
    annotations: Vec<Annotation>,
    /// The upstream went back to a call whose item is done, and it cannot be told any more.
    broken: bool,
    whole: Fold,
    on_whole: Option<OnWhole>,
}

/// The item that is being written.
#[derive(Debug)]
struct Open {
    kind: Kind,
    id: String,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Message,
    /// By the upstream's count, with the call's id and the function's name.
    Call(u32, String, String),
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    data: T,
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Response<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: &'a Item,
}

impl ResponseEvents {
    /// Begins the stream of the response of `frame`, which is named.
    pub fn new(frame: Frame, on_whole: Option<OnWhole>) -> Self {
        let mut events = Self {
            out: BytesMut::new(),
            sequence: 0,
            frame,
            output: Vec::new(),
            open: None,
            in_delta: false,
            annotations: Vec::new(),
            broken: false,
            whole: Fold::default(),
            on_whole,
        };
        for kind in ["response.created", "response.in_progress"] {
            let response = Response::in_progress(&events.frame, &events.output);
            write(&mut events.out, &mut events.sequence, kind, OfResponse { response });
        }
        events
    }

    fn event(&mut self, kind: &str, data: impl Serialize) {
        self.close_delta();
        write(&mut self.out, &mut self.sequence, kind, data);
    }

    /// An event of the open item.
    fn of_open(&mut self, kind: &str, mut data: serde_json::Value) {
        if let Some(open) = &self.open {
            data["item_id"] = json!(open.id);
            data["output_index"] = json!(self.output.len());
        }
        self.event(kind, data);
    }

    /// Makes an item of this kind the open one, and writes its start if it is new.
    fn enter(&mut self, kind: Kind) {
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.leave(Status::Completed);
        let prefix = match kind {
            Kind::Reasoning => "rs",
            Kind::Message => "msg",
            Kind::Call(..) => "fc",
        };
        let id = self.frame.item_id(prefix, self.output.len());
        let open = Open { kind, id, text: String::new() };
        let item = self.item(&open, Status::InProgress);
        let output_index = self.output.len();
        self.event("response.output_item.added", OfItem { output_index, item: &item });
        let kind = open.kind.clone();
        self.open = Some(open);
        let (name, index, part) = match kind {
            Kind::Call(..) => return,
            Kind::Message => (
                "response.content_part.added",
                "content_index",
                json!(output_text(String::new(), &[])),
            ),
            Kind::Reasoning if self.frame.summarizes() => (
                "response.reasoning_summary_part.added",
                "summary_index",
                json!({"type": "summary_text", "text": ""}),
            ),
            Kind::Reasoning => (
                "response.content_part.added",
                "content_index",
                json!({"type": "reasoning_text", "text": ""}),
            ),
        };
        self.of_open(name, json!({index: 0, "part": part}));
    }

    /// The item as it stands.
    fn item(&self, open: &Open, status: Status) -> Item {
        let (id, text) = (open.id.clone(), open.text.clone());
        match &open.kind {
            Kind::Reasoning => Item::reasoning(id, text, self.frame.summarizes(), status),
            Kind::Message if status == Status::InProgress => Item::message(id, Vec::new(), status),
            Kind::Message => Item::message(id, vec![output_text(text, &self.annotations)], status),
            Kind::Call(_, call_id, name) => Item::FunctionCall {
                id,
                call_id: call_id.clone(),
                name: name.clone(),
                arguments: text,
                status,
            },
        }
    }

    /// Ends the open item.
    fn leave(&mut self, status: Status) {
        let Some(open) = &self.open else { return };
        let text = open.text.clone();
        match &open.kind {
            Kind::Reasoning if self.frame.summarizes() => {
                let part = json!({"type": "summary_text", "text": text});
                let data = json!({"summary_index": 0, "text": text});
                self.of_open("response.reasoning_summary_text.done", data);
                let data = json!({"summary_index": 0, "part": part});
                self.of_open("response.reasoning_summary_part.done", data);
            }
            Kind::Reasoning => {
                let part = json!({"type": "reasoning_text", "text": text});
                let data = json!({"content_index": 0, "text": text});
                self.of_open("response.reasoning_text.done", data);
                self.of_open(
                    "response.content_part.done",
                    json!({"content_index": 0, "part": part}),
                );
            }
            Kind::Message => {
                for (at, annotation) in self.annotations.clone().iter().enumerate() {
                    let annotation = super::output::Citation::from(annotation);
                    let data = json!({"content_index": 0, "annotation_index": at, "annotation": annotation});
                    self.of_open("response.output_text.annotation.added", data);
                }
                let part = json!(output_text(text.clone(), &self.annotations));
                let data = json!({"content_index": 0, "text": text, "logprobs": []});
                self.of_open("response.output_text.done", data);
                self.of_open(
                    "response.content_part.done",
                    json!({"content_index": 0, "part": part}),
                );
            }
            Kind::Call(..) => {
                let data = json!({"arguments": text});
                self.of_open("response.function_call_arguments.done", data);
            }
        }
        let Some(open) = self.open.take() else { return };
        let item = self.item(&open, status);
        let output_index = self.output.len();
        self.event("response.output_item.done", OfItem { output_index, item: &item });
        self.output.push(item);
    }

    /// A piece of the open item's text. The pieces of one upstream event are one delta.
    fn piece(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        open.text.push_str(text);
        if !self.in_delta {
            let (kind, place) = match open.kind {
                Kind::Message => {
                    ("response.output_text.delta", ",\"content_index\":0,\"logprobs\":[]")
                }
                Kind::Call(..) => ("response.function_call_arguments.delta", ""),
                Kind::Reasoning if self.frame.summarizes() => {
                    ("response.reasoning_summary_text.delta", ",\"summary_index\":0")
                }
                Kind::Reasoning => ("response.reasoning_text.delta", ",\"content_index\":0"),
            };
            let (sequence, index) = (self.sequence.to_string(), self.output.len().to_string());
            self.sequence += 1;
            for part in [
                "event: ",
                kind,
                "\ndata: {\"type\":\"",
                kind,
                "\",\"sequence_number\":",
                &sequence,
                ",\"item_id\":\"",
                &open.id,
                "\",\"output_index\":",
                &index,
                place,
                ",\"delta\":\"",
            ] {
                self.out.put_slice(part.as_bytes());
            }
            self.in_delta = true;
        }
        push_escaped(&mut self.out, text);
    }

    fn close_delta(&mut self) {
        if std::mem::take(&mut self.in_delta) {
            self.out.put_slice(b"\"}\n\n");
        }
    }
}

fn write(out: &mut BytesMut, sequence: &mut u64, kind: &str, data: impl Serialize) {
    let event = Event { kind, sequence_number: *sequence, data };
    *sequence += 1;
    let data = serde_json::to_vec(&event).expect("our own types are JSON");
    for part in [b"event: ", kind.as_bytes(), b"\ndata: ", &data, b"\n\n"] {
        out.put_slice(part);
    }
}

impl Sink for ResponseEvents {
    fn content(&mut self, text: &str) {
        self.whole.content(text);
        self.enter(Kind::Message);
        self.piece(text);
    }

    fn reasoning(&mut self, text: &str) {
        self.whole.reasoning(text);
        self.enter(Kind::Reasoning);
        self.piece(text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        let is_open =
            |open: &Open| matches!(&open.kind, Kind::Call(index, ..) if *index == call.index);
        if !self.open.as_ref().is_some_and(is_open) {
            if self.whole.has_call(call.index) {
                self.broken = true;
                return;
            }
            let text = |text: &Option<std::borrow::Cow<'_, str>>| {
                text.as_deref().unwrap_or_default().to_owned()
            };
            self.enter(Kind::Call(call.index, text(&call.id), text(&call.name)));
        }
        self.whole.tool_call(call);
        self.piece(&call.arguments);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.annotations.clone_from(&annotations);
        if self.open.as_ref().is_none_or(|open| open.kind != Kind::Message) {
            // Its item is done; the last event still tells them.
            let message = self.output.iter_mut().rev().find_map(Item::text_mut);
            message.into_iter().for_each(|part| part.annotate(&annotations));
        }
        self.whole.annotations(annotations);
    }

    fn event_end(&mut self) {
        self.close_delta();
    }

    fn is_full(&self) -> bool {
        self.whole.is_full()
    }

    fn unsayable(&self, _: FinishReason) -> Option<Unsayable> {
        self.broken.then_some(Unsayable::MixedCalls)
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.whole.finish(reason, usage);
        if self.output.is_empty() && self.open.is_none() {
            self.enter(Kind::Message);
        }
        self.leave(Status::of_last(reason));
        let response = Response::ended(&self.frame, &self.output, reason, usage);
        if let Some(on_whole) = self.on_whole.take() {
            let json = serde_json::to_vec(&response).expect("a response is JSON");
            on_whole(&self.whole, &json);
        }
        let kind = response.event();
        write(&mut self.out, &mut self.sequence, kind, OfResponse { response });
    }
}

impl Encoder for ResponseEvents {
    fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn keep_alive(&mut self) {
        self.close_delta();
        self.out.put_slice(b": keep-alive\n\n");
    }

    /// The code says what happened. Clients know some, such as `rate_limit_exceeded` and
    /// `context_length_exceeded`, and take any other for a failure of the server.
    fn error(&mut self, _: u16, error: &ErrorObject<'_>) {
        self.close_delta();
        let failure =
            Failure { code: error.code.unwrap_or("server_error"), message: error.message };
        let response = Response::failed(&self.frame, &self.output, failure);
        let kind = response.event();
        write(&mut self.out, &mut self.sequence, kind, OfResponse { response });
    }
}

impl std::fmt::Debug for ResponseEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseEvents").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
