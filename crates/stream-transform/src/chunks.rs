//! The sink that writes the chunks of a streamed answer.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};
use z2api_wire::openai::error::{ErrorBody, ErrorObject};

use crate::annotation::Written;
use crate::completion::CallForm;
use crate::encoder::Encoder;
use crate::escape::push_escaped;
use crate::sink::{Annotation, AnswerId, Sink};

/// Writes OpenAI chunks as server-sent events into one buffer that is reused for the whole stream.
///
/// The first chunk says the role; then come the deltas, one chunk with the finish reason, the
/// usage chunk if it was asked for, and `[DONE]`.
#[derive(Debug)]
pub struct Chunks {
    out: BytesMut,
    /// A chunk from `data: ` to the brace that opens its delta; it ends with [`DELTA`].
    head: Vec<u8>,
    /// The same, up to the quote that opens the text of each field.
    text_heads: [Vec<u8>; 2],
    include_usage: bool,
    calls: CallForm,
    /// The field whose string is being written.
    open: Option<Field>,
    /// How much the last frame held, in bytes: the next will hold about as much.
    last_frame: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Content,
    Reasoning,
}

impl Field {
    /// What opens the text of each.
    const OPENINGS: [&[u8]; 2] = [b"\"content\":\"", b"\"reasoning_content\":\""];
}

/// From the fields that are the same in all chunks to what the delta holds.
const DELTA: &[u8] = b",\"choices\":[{\"index\":0,\"delta\":{";
/// What follows the text of a delta that is not the last.
const GO_ON: &[u8] = b"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const GO_ON_USAGE: &[u8] = b"\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";

impl Chunks {
    /// Begins the stream of the answer `id`. With `include_usage` each chunk has a `usage`, null
    /// in all but the last.
    pub fn new(id: &AnswerId, include_usage: bool) -> Self {
        let mut head = head_of(id, "chat.completion.chunk");
        head.extend_from_slice(DELTA);
        let text_heads = Field::OPENINGS.map(|opening| [head.as_slice(), opening].concat());
        let mut chunks = Self {
            out: BytesMut::new(),
            head,
            text_heads,
            include_usage,
            calls: CallForm::Tools,
            open: None,
            last_frame: 0,
        };
        chunks.begin(b"\"role\":\"assistant\",\"content\":\"\"");
        chunks.end(None);
        chunks
    }

    /// Writes calls as the client knows them.
    #[must_use]
    pub fn with_calls(mut self, calls: CallForm) -> Self {
        self.calls = calls;
        self
    }

    fn function_call(&mut self, call: &ToolCallDelta<'_>) {
        self.begin(b"\"function_call\":{");
        self.function(call);
        self.out.put_u8(b'}');
        self.end(None);
    }

    /// The inside of a function.
    fn function(&mut self, call: &ToolCallDelta<'_>) {
        if let Some(name) = &call.name {
            self.out.put_slice(b"\"name\":\"");
            push_escaped(&mut self.out, name);
            self.out.put_slice(b"\",");
        }
        self.out.put_slice(b"\"arguments\":\"");
        push_escaped(&mut self.out, &call.arguments);
        self.out.put_u8(b'"');
    }

    fn begin(&mut self, delta: &[u8]) {
        self.make_room(self.head.len() + delta.len());
        self.out.put_slice(&self.head);
        self.out.put_slice(delta);
    }

    /// Makes room for the rest of the frame at its start, where all of the buffer can be had again,
    /// and nothing must be moved; elsewhere only where there is none for a chunk with such a head.
    fn make_room(&mut self, head: usize) {
        let chunk = head + 128;
        let frame = if self.out.is_empty() { self.last_frame } else { 0 };
        self.out.reserve(chunk.max(frame));
    }

    fn end(&mut self, reason: Option<FinishReason>) {
        match reason {
            None => self.out.put_slice(&self.go_on()[1..]),
            Some(reason) => {
                self.out.put_slice(b"},\"logprobs\":null,\"finish_reason\":\"");
                self.out.put_slice(self.calls.reason(reason).as_bytes());
                let usage: &[u8] =
                    if self.include_usage { b"\"}],\"usage\":null}\n\n" } else { b"\"}]}\n\n" };
                self.out.put_slice(usage);
            }
        }
    }

    fn go_on(&self) -> &'static [u8] {
        if self.include_usage { GO_ON_USAGE } else { GO_ON }
    }

    fn string(&mut self, field: Field, text: &str) {
        if self.open != Some(field) {
            self.close();
            self.make_room(self.text_heads[field as usize].len());
            self.out.put_slice(&self.text_heads[field as usize]);
            self.open = Some(field);
        }
        push_escaped(&mut self.out, text);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.out.put_slice(self.go_on());
        }
    }
}

/// A chunk from `data: ` to just before its `choices`.
pub(crate) fn head_of(id: &AnswerId, object: &'static str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Head<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        model: &'a str,
    }
    let head = Head { id: &id.id, object, created: id.created, model: &id.model };
    let mut line = b"data: ".to_vec();
    // Writing strings and numbers into memory cannot fail.
    serde_json::to_writer(&mut line, &head).expect("a chunk's head is JSON");
    line.pop();
    line
}

/// The usage chunk, if there is to be one, and `[DONE]`.
pub(crate) fn push_end(out: &mut BytesMut, head: &[u8], usage: Option<&Usage>) {
    if let Some(usage) = usage {
        out.put_slice(head);
        out.put_slice(b",\"choices\":[],\"usage\":");
        out.put_slice(&serde_json::to_vec(usage).expect("usage is JSON"));
        out.put_slice(b"}\n\n");
    }
    out.put_slice(b"data: [DONE]\n\n");
}

impl Encoder for Chunks {
    fn take(&mut self) -> Bytes {
        self.close();
        self.last_frame = self.out.len();
        self.out.split().freeze()
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn keep_alive(&mut self) {
        self.close();
        self.out.put_slice(KEEP_ALIVE);
    }

    fn error(&mut self, _status: u16, error: &ErrorObject<'_>) {
        self.close();
        push_error(&mut self.out, error);
    }
}

/// A comment.
pub(crate) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The event that ends a broken stream: no finish reason and no `[DONE]`, and the error object in
/// place of a chunk, which OpenAI's SDKs raise.
pub(crate) fn push_error(out: &mut BytesMut, error: &ErrorObject<'_>) {
    let body = serde_json::to_vec(&ErrorBody { error: error.clone() });
    out.put_slice(b"data: ");
    out.put_slice(&body.expect("an error object is JSON"));
    out.put_slice(b"\n\n");
}

impl Sink for Chunks {
    fn content(&mut self, text: &str) {
        self.string(Field::Content, text);
    }

    fn reasoning(&mut self, text: &str) {
        self.string(Field::Reasoning, text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        self.close();
        match self.calls {
            CallForm::Tools => {}
            // The oldest form has one call a turn; the model asks again for others.
            CallForm::Functions if call.index > 0 => return,
            CallForm::Functions => return self.function_call(call),
        }
        self.begin(b"\"tool_calls\":[{\"index\":");
        self.out.put_slice(itoa::Buffer::new().format(call.index).as_bytes());
        if let Some(id) = &call.id {
            self.out.put_slice(b",\"id\":\"");
            push_escaped(&mut self.out, id);
            self.out.put_slice(b"\",\"type\":\"function\"");
        }
        self.out.put_slice(b",\"function\":{");
        self.function(call);
        self.out.put_slice(b"}}]");
        self.end(None);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.close();
        let written: Vec<Written<'_>> = annotations.iter().map(Written::from).collect();
        self.begin(b"\"annotations\":");
        self.out.put_slice(&serde_json::to_vec(&written).expect("annotations are JSON"));
        self.end(None);
    }

    fn event_end(&mut self) {
        self.close();
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.close();
        self.begin(b"");
        self.end(Some(reason));
        let usage = usage.filter(|_| self.include_usage);
        let head = &self.head[..self.head.len() - DELTA.len()];
        push_end(&mut self.out, head, usage);
    }
}
