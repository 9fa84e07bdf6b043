//! What is on the wire on both sides of the gateway: SSE framing, OpenAI types, Anthropic
//! types, Z.ai types.
//!
//! No I/O and no runtime. The two upstream dialects meet in [`event::Event`], which borrows from
//! the bytes it was decoded from:
//!
//! ```
//! use z2api_wire::{decode::EventDecoder, event::{Dialect, Event, Phase}, sse};
//!
//! let bytes = b"data: {\"type\":\"chat:completion\",\"data\":{\"delta_content\":\"Hi\",\"phase\":\"answer\"}}\n\n";
//! let (mut decoder, mut events) = (sse::Decoder::default(), EventDecoder::new(Dialect::ZaiWeb));
//! let mut seen = Vec::new();
//! decoder.feed(bytes, &mut |data| {
//!     events.decode(data, &mut |event| seen.push(event.into_owned()))?;
//!     Ok::<(), z2api_wire::Malformed>(())
//! }).unwrap();
//! assert_eq!(seen, [Event::Text { phase: Phase::Answer, text: "Hi".into() }]);
//! ```

pub mod anthropic;
pub mod chat;
pub mod decode;
pub mod event;
pub mod fault;
pub mod json;
pub mod named;
pub mod names;
pub mod openai;
pub mod sse;
pub mod string;
mod text;
pub mod zai;

/// Bytes of the upstream that are not what its protocol allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// An event is not UTF-8; the offset counts from the start of its data, in bytes.
    #[error("an event is not UTF-8 (at byte {0} of its data)")]
    NotUtf8(usize),
    /// An event is larger than the decoder may hold, in bytes.
    #[error("an event is larger than {0} bytes")]
    TooLarge(usize),
    /// An event is not JSON of a known shape. The text tells where, and never repeats content.
    #[error("an event cannot be read: {0}")]
    NotJson(String),
}

impl Malformed {
    /// Keeps the place and the class of a JSON error; the message of serde could quote content.
    fn json(error: &serde_json::Error) -> Self {
        let class = match error.classify() {
            serde_json::error::Category::Io => "cannot be read",
            serde_json::error::Category::Syntax => "not JSON",
            serde_json::error::Category::Data => "a field has an unexpected type",
            serde_json::error::Category::Eof => "JSON ends early",
        };
        Self::NotJson(format!("{class} at column {}", error.column()))
    }
}
