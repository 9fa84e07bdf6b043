//! Upstream events in, OpenAI chunks out: think, strip, raw, reasoning.
//!
//! No I/O and no runtime: a [`Transform`] is pushed one [`Event`](z2api_wire::event::Event) at a
//! time and says the answer into a [`Sink`]. [`Fold`] is the sink that gathers a whole answer; an
//! [`Encoder`], such as [`Chunks`], is one that writes a stream. Since both hear the same words, a
//! streamed and a non-streamed answer cannot differ.
//!
//! ```
//! use z2api_stream_transform::{AnswerId, Chunks, Encoder, Options, ThinkMode, Transform};
//! use z2api_wire::event::{Dialect, Event, Phase};
//!
//! let id = AnswerId { id: "chatcmpl-1".into(), created: 0, model: "GLM-4.5".into() };
//! let mut chunks = Chunks::new(&id, false);
//! let mut transform = Transform::new(Options::new(Dialect::ZaiWeb, ThinkMode::Think));
//! transform.push(&Event::Text { phase: Phase::Thinking, text: "Hm.".into() }, &mut chunks)?;
//! transform.push(&Event::Text { phase: Phase::Answer, text: "Yes.".into() }, &mut chunks)?;
//! transform.end(&mut chunks)?;
//! let stream = String::from_utf8(chunks.take().to_vec()).unwrap();
//! assert!(stream.contains(r#""delta":{"content":"<think>\nHm."}"#));
//! assert!(stream.ends_with("data: [DONE]\n\n"));
//! # Ok::<(), z2api_stream_transform::TransformError>(())
//! ```

mod annotation;
mod as_chat;
mod calls;
mod chunks;
mod citation;
mod completion;
mod encoder;
mod escape;
mod fold;
mod markup;
mod message;
pub mod messages;
mod mode;
mod models;
mod opaque;
mod request;
pub mod responses;
mod said;
mod sink;
mod sources;
mod stop;
mod tag;
mod text;
mod transform;
mod trim;
mod view;
mod voice;

pub use chunks::Chunks;
pub use completion::{CallForm, completion};
pub use encoder::Encoder;
pub use fold::{Fold, Folded, FoldedCall, Stretch};
pub use mode::{ThinkMode, UnknownThinkMode};
pub use models::{BUILT_IN_MODELS, Model, ModelTable, ModelTableError};
pub use request::{RequestError, Server, Understood, chat_of};
pub use sink::{Annotation, AnswerId, Sink, Unsayable};
pub use text::{TextChunks, text_completion};
pub use transform::{Options, Progress, Transform, TransformError};
