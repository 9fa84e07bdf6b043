//! The way of a stream through the gateway, whole and in parts.

use z2api_stream_transform::{
    Annotation, AnswerId, Chunks, Encoder, Options, Sink, ThinkMode, Transform,
};
use z2api_wire::Malformed;
use z2api_wire::decode::EventDecoder;
use z2api_wire::event::{Dialect, Event, FinishReason, ToolCallDelta, Usage};
use z2api_wire::sse::Decoder;

/// An answer's id as the gateway makes them.
pub fn id() -> AnswerId {
    AnswerId {
        id: "chatcmpl-0123456789abcdef0123456789abcdef".to_owned(),
        created: 1_767_225_600,
        model: "GLM-4.5".to_owned(),
    }
}

/// Bytes in, bytes out: each read is decoded, transformed, and taken as one frame. Answers how
/// many bytes went out.
#[inline(never)]
pub fn whole(dialect: Dialect, mode: ThinkMode, reads: &[&[u8]]) -> usize {
    let mut transform = Transform::new(Options::new(dialect, mode));
    let mut chunks = Chunks::new(&id(), false);
    let mut decoders = Decoders::new(dialect);
    let mut out = 0;
    for read in reads {
        decoders.feed(read, &mut |event| {
            let _ = transform.push(&event, &mut chunks).expect("a good event");
        });
        if !chunks.is_empty() {
            out += chunks.take().len();
        }
    }
    out
}

/// Bytes in, events out. Answers how many.
pub fn decode(dialect: Dialect, reads: &[&[u8]]) -> usize {
    let mut decoders = Decoders::new(dialect);
    let mut count = 0;
    for read in reads {
        decoders.feed(read, &mut |event| {
            std::hint::black_box(&event);
            count += 1;
        });
    }
    count
}

/// Events in, pieces of the answer out, which nobody keeps.
pub fn transform(dialect: Dialect, mode: ThinkMode, events: &[Event<'_>]) -> usize {
    let mut transform = Transform::new(Options::new(dialect, mode));
    let mut quiet = Quiet::default();
    for event in events {
        let _ = transform.push(event, &mut quiet).expect("a good event");
    }
    quiet.bytes
}

/// Pieces of an answer in, chunks out, a frame for each `per_frame` of them.
pub fn encode(pieces: &[&str], per_frame: usize) -> usize {
    let mut chunks = Chunks::new(&id(), false);
    let mut out = 0;
    for frame in pieces.chunks(per_frame) {
        for piece in frame {
            chunks.content(piece);
            chunks.event_end();
        }
        out += chunks.take().len();
    }
    out
}

/// The events of a stream, copied.
pub fn events(dialect: Dialect, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    Decoders::new(dialect).feed(bytes, &mut |event| events.push(event.into_owned()));
    events
}

/// Both decoders of a stream.
struct Decoders {
    sse: Decoder,
    events: EventDecoder,
}

impl Decoders {
    fn new(dialect: Dialect) -> Self {
        Self { sse: Decoder::default(), events: EventDecoder::new(dialect) }
    }

    fn feed(&mut self, read: &[u8], each: &mut impl FnMut(Event<'_>)) {
        let Self { sse, events } = self;
        let decoded = sse.feed::<Malformed>(read, &mut |data| events.decode(data, each));
        decoded.expect("a good stream");
    }
}

/// A sink that only counts.
#[derive(Debug, Default)]
pub struct Quiet {
    /// Bytes of text heard.
    pub bytes: usize,
}

impl Sink for Quiet {
    fn content(&mut self, text: &str) {
        self.bytes += std::hint::black_box(text).len();
    }

    fn reasoning(&mut self, text: &str) {
        self.bytes += std::hint::black_box(text).len();
    }

    fn tool_call(&mut self, call: &ToolCallDelta<'_>) {
        self.bytes += std::hint::black_box(call).arguments.len();
    }

    fn annotations(&mut self, _: Vec<Annotation>) {}

    fn finish(&mut self, _: FinishReason, _: Option<&Usage>) {}
}
