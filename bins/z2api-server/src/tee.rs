//! Keeps what is said for the log, where the settings ask for it.

use z2api_observability::Said;
use z2api_stream_transform::{Annotation, Sink, Unsayable};
use z2api_wire::event::{FinishReason, ToolCallDelta, Usage};

/// Hands everything on, and keeps a copy if there is a place for it.
#[derive(Debug)]
pub(crate) struct Tee<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) kept: Option<&'a mut Said>,
}

impl<S: Sink> Sink for Tee<'_, S> {
    fn content(&mut self, text: &str) {
        if let Some(said) = &mut self.kept {
            said.content(text);
        }
        self.sink.content(text);
    }

    fn reasoning(&mut self, text: &str) {
        if let Some(said) = &mut self.kept {
            said.reasoning(text);
        }
        self.sink.reasoning(text);
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        if let Some(said) = &mut self.kept {
            said.call(call.index, call.id.as_deref(), call.name.as_deref(), &call.arguments);
        }
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
