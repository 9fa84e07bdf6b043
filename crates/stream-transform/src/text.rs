//! An answer as the text completions of OpenAI's older API: streamed, and whole.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};
use z2api_wire::openai::error::ErrorObject;

use crate::chunks::{KEEP_ALIVE, head_of, push_end, push_error};
use crate::encoder::Encoder;
use crate::escape::push_escaped;
use crate::fold::Folded;
use crate::sink::{Annotation, AnswerId, Sink};

const OBJECT: &str = "text_completion";

/// Writes a text completion as server-sent events. Thinking that has a place of its own stands in
/// `reasoning_content`, beside `text`, as in chat chunks.
#[derive(Debug)]
pub struct TextChunks {
    out: BytesMut,
    head: Vec<u8>,
    include_usage: bool,
}

impl TextChunks {
    /// Begins the stream of the answer `id`. With `include_usage` each chunk has a `usage`, null
    /// in all but the last.
    pub fn new(id: &AnswerId, include_usage: bool) -> Self {
        Self { out: BytesMut::new(), head: head_of(id, OBJECT), include_usage }
    }

    fn chunk(&mut self, text: &str, reasoning: &str, reason: Option<FinishReason>) {
        self.out.put_slice(&self.head);
        self.out.put_slice(b",\"choices\":[{\"index\":0,\"text\":\"");
        push_escaped(&mut self.out, text);
        if !reasoning.is_empty() {
            self.out.put_slice(b"\",\"reasoning_content\":\"");
            push_escaped(&mut self.out, reasoning);
        }
        self.out.put_slice(b"\",\"logprobs\":null,\"finish_reason\":");
        let reason = reason.map(FinishReason::as_str);
        self.out.put_slice(&serde_json::to_vec(&reason).expect("a word is JSON"));
        let usage: &[u8] = if self.include_usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" };
        self.out.put_slice(usage);
    }
}

impl Encoder for TextChunks {
    fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn keep_alive(&mut self) {
        self.out.put_slice(KEEP_ALIVE);
    }

    fn error(&mut self, _status: u16, error: &ErrorObject<'_>) {
        push_error(&mut self.out, error);
    }
}

impl Sink for TextChunks {
    fn content(&mut self, text: &str) {
        self.chunk(text, "", None);
    }

    fn reasoning(&mut self, text: &str) {
        self.chunk("", text, None);
    }

    /// A request of this API has no tools.
    fn tool_call(&mut self, _call: &ToolCallDelta<'_>) {}

    /// This API has no place for them; the links in the text are there.
    fn annotations(&mut self, _annotations: Vec<Annotation>) {}

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.chunk("", "", Some(without_calls(reason)));
        push_end(&mut self.out, &self.head, usage.filter(|_| self.include_usage));
    }
}

/// A model that calls a tool though none was offered: this API has no word for that.
fn without_calls(reason: FinishReason) -> FinishReason {
    if reason == FinishReason::ToolCalls { FinishReason::Stop } else { reason }
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    logprobs: Option<()>,
    finish_reason: FinishReason,
}

/// The JSON of the `text_completion` with this answer.
pub fn text_completion(answer: Folded<'_>, id: &AnswerId) -> Vec<u8> {
    let completion = Completion {
        id: &id.id,
        object: OBJECT,
        created: id.created,
        model: &id.model,
        choices: [Choice {
            index: 0,
            text: answer.content,
            reasoning_content: answer.reasoning,
            logprobs: None,
            finish_reason: without_calls(answer.finish_reason),
        }],
        usage: answer.usage,
    };
    serde_json::to_vec(&completion).expect("a completion is JSON")
}
