//! The item that a stream is writing, and the events of its life.

use serde::Serialize;
use serde_json::{Value, json};

use super::custom::Input;
use super::events::{DeltaOf, Events};
use super::frame::Frame;
use super::item::{Called, Citation, Item, Part};
use super::names::Form;
use super::output::Status;
use crate::sink::{Annotation, Unsayable};

/// An item between its `response.output_item.added` and its `response.output_item.done`.
#[derive(Debug)]
pub(super) struct Open {
    kind: Kind,
    words: &'static Words,
    id: String,
    /// Its place in the output.
    at: usize,
    text: String,
}

/// What is being written.
#[derive(Debug)]
pub(super) enum Kind {
    Reasoning,
    Message,
    /// By the upstream's count.
    Call(u32, Called, Input),
}

/// How the API speaks of one kind of item.
#[derive(Debug)]
struct Words {
    delta: &'static str,
    /// Further fields of a delta.
    in_delta: &'static str,
    done: &'static str,
    /// The field of `done` that holds the text.
    field: &'static str,
    /// The events of the part that holds the text, and what counts such parts.
    part: Option<(&'static str, &'static str, &'static str)>,
}

const MESSAGE: Words = Words {
    delta: "response.output_text.delta",
    in_delta: ",\"content_index\":0,\"logprobs\":[]",
    done: "response.output_text.done",
    field: "text",
    part: Some(("response.content_part.added", "response.content_part.done", "content_index")),
};
const REASONING: Words = Words {
    delta: "response.reasoning_text.delta",
    in_delta: ",\"content_index\":0",
    done: "response.reasoning_text.done",
    ..MESSAGE
};
const SUMMARY: Words = Words {
    delta: "response.reasoning_summary_text.delta",
    in_delta: ",\"summary_index\":0",
    done: "response.reasoning_summary_text.done",
    field: "text",
    part: Some((
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "summary_index",
    )),
};
const FUNCTION: Words = Words {
    delta: "response.function_call_arguments.delta",
    in_delta: "",
    done: "response.function_call_arguments.done",
    field: "arguments",
    part: None,
};
const CUSTOM: Words = Words {
    delta: "response.custom_tool_call_input.delta",
    done: "response.custom_tool_call_input.done",
    field: "input",
    ..FUNCTION
};

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: &'a Item,
}

impl Open {
    /// Begins the item `at` its place.
    pub(super) fn begin(kind: Kind, at: usize, frame: &Frame, events: &mut Events) -> Self {
        let (prefix, words) = match &kind {
            Kind::Reasoning if frame.summarizes() => ("rs", &SUMMARY),
            Kind::Reasoning => ("rs", &REASONING),
            Kind::Message => ("msg", &MESSAGE),
            Kind::Call(_, called, _) => match called.form {
                Form::Function => (called.prefix(), &FUNCTION),
                Form::Custom => (called.prefix(), &CUSTOM),
            },
        };
        let open = Self { kind, words, id: frame.item_id(prefix, at), at, text: String::new() };
        let item = &open.item(frame, &[], Status::InProgress);
        events.write("response.output_item.added", OfItem { output_index: at, item });
        if let Some((added, _, index)) = words.part {
            open.event(events, added, json!({index: 0, "part": open.part(frame, &[])}));
        }
        open
    }

    pub(super) fn is_reasoning(&self) -> bool {
        matches!(self.kind, Kind::Reasoning)
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message)
    }

    /// Whether it is this call, by the upstream's count.
    pub(super) fn is_call(&self, index: u32) -> bool {
        matches!(self.kind, Kind::Call(known, ..) if known == index)
    }

    /// A piece of its text; of a call, a piece of its arguments.
    pub(super) fn piece(&mut self, piece: &str, events: &mut Events) {
        let Self { kind, words, id, at, text } = self;
        let of =
            DeltaOf { kind: words.delta, item_id: id, output_index: *at, place: words.in_delta };
        let mut say = |piece: &str| {
            text.push_str(piece);
            events.piece(of, piece);
        };
        match kind {
            Kind::Call(_, Called { form: Form::Custom, .. }, input) => input.hear(piece, &mut say),
            Kind::Call(..) | Kind::Message | Kind::Reasoning => say(piece),
        }
    }

    /// Why it cannot be told if it ends now.
    pub(super) fn unsayable(&self) -> Option<Unsayable> {
        match &self.kind {
            Kind::Call(_, called, input) if called.form == Form::Custom && !input.is_whole() => {
                Some(called.no_input())
            }
            Kind::Call(..) | Kind::Message | Kind::Reasoning => None,
        }
    }

    /// Ends it, and answers what has become of it.
    pub(super) fn end(
        self,
        frame: &Frame,
        annotations: &[Annotation],
        status: Status,
        events: &mut Events,
    ) -> Item {
        if self.is_message() {
            for (at, annotation) in annotations.iter().map(Citation::from).enumerate() {
                let data =
                    json!({"content_index": 0, "annotation_index": at, "annotation": annotation});
                self.event(events, "response.output_text.annotation.added", data);
            }
        }
        let field = self.words.field;
        let mut done = json!({field: self.text});
        if let Some((_, _, index)) = self.words.part {
            done[index] = json!(0);
        }
        if self.is_message() {
            done["logprobs"] = json!([]);
        }
        self.event(events, self.words.done, done);
        if let Some((_, part_done, index)) = self.words.part {
            self.event(events, part_done, json!({index: 0, "part": self.part(frame, annotations)}));
        }
        let item = self.item(frame, annotations, status);
        events.write("response.output_item.done", OfItem { output_index: self.at, item: &item });
        item
    }

    fn event(&self, events: &mut Events, name: &str, mut data: Value) {
        data["item_id"] = json!(self.id);
        data["output_index"] = json!(self.at);
        events.write(name, data);
    }

    /// The part that holds its text.
    fn part(&self, frame: &Frame, annotations: &[Annotation]) -> Value {
        let text = self.text.clone();
        match &self.kind {
            Kind::Message => json!(Part::output_text(text, annotations)),
            Kind::Reasoning | Kind::Call(..) => json!(Part::thinking(frame, text)),
        }
    }

    /// The item as it stands.
    fn item(&self, frame: &Frame, annotations: &[Annotation], status: Status) -> Item {
        let (id, text) = (self.id.clone(), self.text.clone());
        match &self.kind {
            Kind::Reasoning => Item::reasoning(frame, id, text, status),
            Kind::Message if status == Status::InProgress => Item::message(id, Vec::new(), status),
            Kind::Message => Item::message(id, vec![Part::output_text(text, annotations)], status),
            Kind::Call(_, called, _) => Item::call(id, called.clone(), text, status),
        }
    }
}
