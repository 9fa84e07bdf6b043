//! Keeps what is said for the log, where the settings ask for it.

use z2api_observability::Said;
use z2api_stream_transform::{Annotation, Sink, Unsayable};
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};

/// The most of an answer, or of a request's messages, that a log line holds, in bytes.
pub(crate) const MAX_KEPT: usize = 8 * 1024;

/// Hands everything on, and keeps a copy of the text if there is a place for it.
#[derive(Debug)]
pub(crate) struct Tee<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) kept: Option<&'a mut Said>,
}

/// As much of a text as there is room for, beside what is there.
fn keep(text: &str, to: &mut String, beside: &str) {
    let room = MAX_KEPT.saturating_sub(to.len() + beside.len());
    to.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
}

impl<S: Sink> Sink for Tee<'_, S> {
    fn content(&mut self, text: &str) {
        if let Some(Said { content, reasoning }) = self.kept.as_deref_mut() {
            keep(text, content, reasoning);
        }
        self.sink.content(text);
    }

    fn reasoning(&mut self, text: &str) {
        if let Some(Said { content, reasoning }) = self.kept.as_deref_mut() {
            keep(text, reasoning, content);
        }
        self.sink.reasoning(text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        self.sink.tool_call(call);
    }

    fn annotations(&mut self, annotations: Vec<Annotation>) {
        self.sink.annotations(annotations);
    }

    fn stop_word(&mut self, word: &str) {
        self.sink.stop_word(word);
    }

    fn event_end(&mut self) {
        self.sink.event_end();
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn unsayable(&self, reason: FinishReason) -> Option<Unsayable> {
        self.sink.unsayable(reason)
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<&Usage>) {
        self.sink.finish(reason, usage);
    }
}
