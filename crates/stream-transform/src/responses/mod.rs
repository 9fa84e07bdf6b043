//! OpenAI's Responses API over the same path: its requests as chats, answers as its responses.

mod encoder;
mod items;
mod output;
mod request;

pub use encoder::{OnWhole, ResponseEvents};
pub use items::answer_turn;
pub use output::{Frame, response};
pub use request::{Asked, chat_request};
