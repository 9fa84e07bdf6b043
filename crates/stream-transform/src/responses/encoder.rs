//! The sink that writes a streamed response of the Responses API.

use bytes::Bytes;
use serde::Serialize;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};
use z2api_wire::openai::error::ErrorObject;

use super::custom::Input;
use super::events::Events;
use super::frame::Frame;
use super::item::{Called, Item};
use super::open::{Kind, Open};
use super::output::{Failure, Response, Status};
use super::places::Places;
use crate::encoder::Encoder;
use crate::fold::Fold;
use crate::sink::{Annotation, Sink, Unsayable};

/// Is given the whole answer and its response's JSON, once both are there.
pub type OnWhole = Box<dyn FnOnce(&Fold, &[u8]) + Send>;

/// Writes the events of a response, numbered: `response.created`, then one item after the other,
/// then `response.completed` or what became of it. The last event repeats all of the output, so
/// that it is kept until then.
pub struct ResponseEvents {
    events: Events,
    frame: Frame,
    /// Items that are done.
    output: Vec<Item>,
    open: Option<Open>,
    /// Of all the text, which is told by now.
    annotations: Vec<Annotation>,
    /// The messages that are done: place in the output, and characters.
    messages: Vec<(usize, usize)>,
    /// Characters of the open message.
    chars: usize,
    /// Why the answer cannot be told, if it cannot. Nothing more is told then: clients run the calls
    /// of items that are done.
    broken: Option<Unsayable>,
    whole: Fold,
    on_whole: Option<OnWhole>,
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Response<'a>,
}

impl ResponseEvents {
    /// Begins the stream of the response of `frame`, which is named.
    pub fn new(frame: Frame, on_whole: Option<OnWhole>) -> Self {
        let mut events = Events::default();
        for kind in ["response.created", "response.in_progress"] {
            let response = Response::in_progress(&frame, &[]);
            events.write(kind, OfResponse { response });
        }
        Self {
            events,
            frame,
            output: Vec::new(),
            open: None,
            annotations: Vec::new(),
            messages: Vec::new(),
            chars: 0,
            broken: None,
            whole: Fold::default(),
            on_whole,
        }
    }

    /// Ends the open item, and begins another.
    fn enter(&mut self, kind: Kind) {
        self.leave(Status::Completed);
        if self.broken.is_some() {
            return;
        }
        let at = self.output.len();
        self.open = Some(Open::begin(kind, at, &self.frame, &mut self.events));
    }

    fn leave(&mut self, status: Status) {
        let Some(open) = self.open.take() else { return };
        if status == Status::Completed {
            self.broken = open.unsayable();
        }
        if self.broken.is_some() {
            return;
        }
        let mut annotations = Vec::new();
        if open.is_message() {
            annotations = self.of_open_message();
            self.messages.push((self.output.len(), std::mem::take(&mut self.chars)));
        }
        self.output.push(open.end(&self.frame, &annotations, status, &mut self.events));
    }

    /// The annotations of the open message, which is the last.
    fn of_open_message(&self) -> Vec<Annotation> {
        let mut places = Places::new(&self.annotations);
        for (_, chars) in &self.messages {
            places.next(*chars, false);
        }
        places.next(self.chars, true)
    }

    fn piece(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.piece(text, &mut self.events);
        }
    }
}

impl Sink for ResponseEvents {
    fn content(&mut self, text: &str) {
        self.whole.content(text);
        if !self.open.as_ref().is_some_and(Open::is_message) {
            self.enter(Kind::Message);
        }
        self.chars += text.chars().count();
        self.piece(text);
    }

    fn reasoning(&mut self, text: &str) {
        self.whole.reasoning(text);
        if !self.open.as_ref().is_some_and(Open::is_reasoning) {
            self.enter(Kind::Reasoning);
        }
        self.piece(text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        if !self.open.as_ref().is_some_and(|open| open.is_call(call.index)) {
            if self.whole.has_call(call.index) {
                // Its item is done.
                self.broken.get_or_insert(Unsayable::MixedCalls);
                self.open = None;
                return;
            }
            let id = call.id.as_deref().unwrap_or_default();
            let name = call.name.as_deref().unwrap_or_default();
            let called = Called::new(&self.frame, id, name);
            self.enter(Kind::Call(call.index, called, Input::default()));
        }
        self.whole.tool_call(call);
        self.piece(&call.arguments);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.annotations.clone_from(&annotations);
        let mut places = Places::new(&annotations);
        let open = self.open.as_ref().is_some_and(Open::is_message);
        for (which, (at, chars)) in self.messages.iter().enumerate() {
            // These items are done; the last event still tells them.
            let is_last = !open && which + 1 == self.messages.len();
            let found = places.next(*chars, is_last);
            self.output[*at].text_mut().into_iter().for_each(|part| part.annotate(&found));
        }
        self.whole.annotations(annotations);
    }

    fn event_end(&mut self) {
        self.events.close_delta();
    }

    fn is_full(&self) -> bool {
        self.whole.is_full()
    }

    fn unsayable(&self, reason: FinishReason) -> Option<Unsayable> {
        let whole = Status::of_last(reason) == Status::Completed;
        let last = || self.open.as_ref().filter(|_| whole).and_then(Open::unsayable);
        self.broken.clone().or_else(last)
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
        self.events.write(response.event(), OfResponse { response });
    }
}

impl Encoder for ResponseEvents {
    fn take(&mut self) -> Bytes {
        self.events.take()
    }

    fn len(&self) -> usize {
        self.events.len()
    }

    fn keep_alive(&mut self) {
        self.events.comment();
    }

    /// The code says what happened. Clients know some, such as `rate_limit_exceeded` and
    /// `context_length_exceeded`, and take any other for a failure of the server.
    fn error(&mut self, _: u16, error: &ErrorObject<'_>) {
        let failure =
            Failure { code: error.code.unwrap_or("server_error"), message: error.message };
        let response = Response::failed(&self.frame, &self.output, failure);
        self.events.write(response.event(), OfResponse { response });
    }
}

impl std::fmt::Debug for ResponseEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseEvents").field("open", &self.open).finish_non_exhaustive()
    }
}
