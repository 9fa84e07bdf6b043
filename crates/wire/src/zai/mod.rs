//! The web chat's dialect: its request, its stream, its guest record.

mod request;
mod stream;

pub use request::{BackgroundTasks, Features, Guest, Params, WebRequest};
pub use stream::decode;
