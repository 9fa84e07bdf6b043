//! The numbered events of a stream, written into one buffer.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::escape::push_escaped;

/// Writes events. All that one upstream event says into an item is one delta.
#[derive(Debug, Default)]
pub(super) struct Events {
    out: BytesMut,
    sequence: u64,
    in_delta: bool,
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    data: T,
}

/// What a delta belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeltaOf<'a> {
    /// The event's type.
    pub(super) kind: &'a str,
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
    /// Further fields, as they stand in JSON, each after a comma.
    pub(super) place: &'a str,
}

impl Events {
    pub(super) fn write(&mut self, kind: &str, data: impl Serialize) {
        self.close_delta();
        let event = Event { kind, sequence_number: self.sequence, data };
        self.sequence += 1;
        let data = serde_json::to_vec(&event).expect("our own types are JSON");
        for part in [b"event: ", kind.as_bytes(), b"\ndata: ", &data, b"\n\n"] {
            self.out.put_slice(part);
        }
    }

    /// A piece of text, in a delta of its own unless one is open.
    pub(super) fn piece(&mut self, of: DeltaOf<'_>, text: &str) {
        if !std::mem::replace(&mut self.in_delta, true) {
            self.begin_delta(of);
        }
        push_escaped(&mut self.out, text);
    }

    fn begin_delta(&mut self, of: DeltaOf<'_>) {
        let (mut sequence, mut index) = (itoa::Buffer::new(), itoa::Buffer::new());
        for part in [
            "event: ",
            of.kind,
            "\ndata: {\"type\":\"",
            of.kind,
            "\",\"sequence_number\":",
            sequence.format(self.sequence),
            ",\"item_id\":\"",
            of.item_id,
            "\",\"output_index\":",
            index.format(of.output_index),
            of.place,
            ",\"delta\":\"",
        ] {
            self.out.put_slice(part.as_bytes());
        }
        self.sequence += 1;
    }

    pub(super) fn close_delta(&mut self) {
        if std::mem::take(&mut self.in_delta) {
            self.out.put_slice(b"\"}\n\n");
        }
    }

    /// What clients pass over.
    pub(super) fn comment(&mut self) {
        self.close_delta();
        self.out.put_slice(b": keep-alive\n\n");
    }

    pub(super) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }
}
