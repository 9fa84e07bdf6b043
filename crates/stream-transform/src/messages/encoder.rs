//! The sink that writes a streamed message of the Messages API.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use z2api_wire::anthropic::error::ErrorBody;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};
use z2api_wire::openai::error::ErrorObject;

use super::count::Size;
use super::whole::{no_object, object};
use super::{Asked, Counts, SIGNATURE, stop_reason};
use crate::encoder::Encoder;
use crate::escape::push_escaped;
use crate::message::MAX_MESSAGE;
use crate::opaque;
use crate::sink::{Annotation, AnswerId, Sink, Unsayable};

/// Writes the events of a message: `message_start`, then one block after the other, then
/// `message_delta` and `message_stop`. All that one upstream event says into a block is one delta.
#[derive(Debug)]
pub struct MessageEvents {
    out: BytesMut,
    /// Blocks begun so far.
    blocks: usize,
    open: Option<Block>,
    /// A delta's string is being written.
    in_delta: bool,
    /// Tool calls whose block is closed, by the upstream's count.
    closed: Vec<u32>,
    /// The tool and the arguments of the open call.
    tool: String,
    arguments: String,
    /// Why the answer cannot be told as a message, if it cannot. Nothing more is told then: clients
    /// run the calls of blocks that have ended.
    broken: Option<Unsayable>,
    stop_word: Option<String>,
    asked: Asked,
    said: Size,
    /// The thinking of the open block, where it is not shown.
    hidden: String,
}

/// What the open block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    /// A tool call, by the upstream's count.
    Tool(u32),
}

impl MessageEvents {
    /// Begins the stream of the answer `id`. The request's estimate stands for its count: the
    /// upstream tells one at the end only.
    pub fn new(id: &AnswerId, asked: Asked) -> Self {
        #[derive(Serialize)]
        struct Start<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            message: super::whole::Message<'a>,
        }
        let mut events = Self {
            out: BytesMut::new(),
            blocks: 0,
            open: None,
            in_delta: false,
            closed: Vec::new(),
            tool: String::new(),
            arguments: String::new(),
            broken: None,
            stop_word: None,
            asked,
            said: Size::default(),
            hidden: String::new(),
        };
        let message = super::whole::Message::begin(id, events.asked.input_tokens);
        events.event("message_start", &Start { kind: "message_start", message });
        events
    }

    fn event(&mut self, name: &str, data: &impl Serialize) {
        self.close_delta();
        let data = serde_json::to_vec(data).expect("our own types are JSON");
        for part in [b"event: ", name.as_bytes(), b"\ndata: ", &data, b"\n\n"] {
            self.out.put_slice(part);
        }
    }

    /// Makes `block` the open one, and writes its start if it is new. False once the answer cannot
    /// be told.
    fn enter(&mut self, block: Block, start: impl FnOnce(&mut BytesMut)) -> bool {
        if self.broken.is_some() || self.open == Some(block) {
            return self.broken.is_none();
        }
        self.broken = self.torn();
        if self.broken.is_some() {
            return false;
        }
        self.leave();
        self.open = Some(block);
        self.blocks += 1;
        self.begin("content_block_start");
        self.out.put_slice(b",\"content_block\":{\"type\":");
        start(&mut self.out);
        self.out.put_slice(b"}}\n\n");
        true
    }

    /// Why the open block cannot end here, if it cannot.
    fn torn(&self) -> Option<Unsayable> {
        let open_call = matches!(self.open, Some(Block::Tool(_)));
        (open_call && object(&self.arguments).is_none()).then(|| no_object(&self.tool))
    }

    /// Ends the open block.
    fn leave(&mut self) {
        let Some(block) = self.open.take() else { return };
        self.close_delta();
        if let Block::Tool(index) = block {
            self.closed.push(index);
            self.arguments.clear();
        }
        if block == Block::Thinking {
            self.begin_delta(b"signature_delta\",\"signature\":\"");
            match self.asked.hides_thinking {
                true => {
                    let signature = opaque::write(&std::mem::take(&mut self.hidden));
                    self.out.put_slice(signature.as_bytes());
                }
                false => self.out.put_slice(SIGNATURE.as_bytes()),
            }
            self.close_delta();
        }
        self.begin("content_block_stop");
        self.out.put_slice(b"}\n\n");
    }

    /// An event of the newest block, up to its index.
    fn begin(&mut self, name: &str) {
        let index = self.blocks - 1;
        for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"index\":"] {
            self.out.put_slice(part.as_bytes());
        }
        self.out.put_slice(itoa::Buffer::new().format(index).as_bytes());
    }

    fn begin_delta(&mut self, delta: &[u8]) {
        self.begin("content_block_delta");
        self.out.put_slice(b",\"delta\":{\"type\":\"");
        self.out.put_slice(delta);
        self.in_delta = true;
    }

    fn close_delta(&mut self) {
        if std::mem::take(&mut self.in_delta) {
            self.out.put_slice(b"\"}}\n\n");
        }
    }

    fn piece(&mut self, delta: &[u8], text: &str) {
        if !self.in_delta {
            self.begin_delta(delta);
        }
        push_escaped(&mut self.out, text);
        self.said.add(text);
    }
}

impl Sink for MessageEvents {
    fn content(&mut self, text: &str) {
        if self.enter(Block::Text, |out| out.put_slice(b"\"text\",\"text\":\"\"")) {
            self.piece(b"text_delta\",\"text\":\"", text);
        }
    }

    fn reasoning(&mut self, text: &str) {
        let is_told = self.enter(Block::Thinking, |out| {
            out.put_slice(b"\"thinking\",\"thinking\":\"\",\"signature\":\"\"");
        });
        if !is_told {
            return;
        }
        if self.asked.hides_thinking {
            self.said.add(text);
            self.hidden.push_str(text);
            return;
        }
        self.piece(b"thinking_delta\",\"thinking\":\"", text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        if self.closed.contains(&call.index) {
            self.broken.get_or_insert(Unsayable::MixedCalls);
            return;
        }
        let is_told = self.enter(Block::Tool(call.index), |out| {
            out.put_slice(b"\"tool_use\",\"id\":\"");
            push_escaped(out, call.id.as_deref().unwrap_or_default());
            out.put_slice(b"\",\"name\":\"");
            push_escaped(out, call.name.as_deref().unwrap_or_default());
            out.put_slice(b"\",\"input\":{}");
        });
        if !is_told {
            return;
        }
        if let Some(name) = &call.name {
            name.as_ref().clone_into(&mut self.tool);
            self.said.add(name);
        }
        self.arguments.push_str(&call.arguments);
        self.piece(b"input_json_delta\",\"partial_json\":\"", &call.arguments);
    }

    /// A message cites only documents of the request; the links stand in the text.
    fn annotations(&mut self, _: Vec<Annotation>) {}

    fn stop_word(&mut self, word: &str) {
        self.stop_word = Some(word.to_owned());
    }

    fn event_end(&mut self) {
        self.close_delta();
    }

    fn is_full(&self) -> bool {
        self.hidden.len() > MAX_MESSAGE
    }

    fn unsayable(&self, reason: FinishReason) -> Option<Unsayable> {
        // One that ran into its limit within a call says so: clients run no such call.
        self.broken.clone().or_else(|| self.torn().filter(|_| !reason.is_cut()))
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        #[derive(Serialize)]
        struct End<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            delta: Why<'a>,
            usage: Counts,
        }
        #[derive(Serialize)]
        struct Why<'a> {
            stop_reason: &'static str,
            stop_sequence: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Stop {
            #[serde(rename = "type")]
            kind: &'static str,
        }
        self.leave();
        let word = self.stop_word.take();
        let word = word.as_deref();
        let delta = Why { stop_reason: stop_reason(reason, word), stop_sequence: word };
        let usage = Counts::of(usage, self.asked.input_tokens, self.said);
        self.event("message_delta", &End { kind: "message_delta", delta, usage });
        self.event("message_stop", &Stop { kind: "message_stop" });
    }
}

impl Encoder for MessageEvents {
    fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn keep_alive(&mut self) {
        self.close_delta();
        self.out.put_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
    }

    fn error(&mut self, status: u16, error: &ErrorObject<'_>) {
        let request_id = std::mem::take(&mut self.asked.request_id);
        self.event("error", &ErrorBody::new(status, error.message, &request_id));
    }
}
