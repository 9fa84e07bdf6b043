//! OpenAI's Responses API over the same path: its requests as chats, answers as its responses.

mod choice;
mod custom;
mod encoder;
mod events;
mod frame;
mod hints;
mod item;
mod items;
mod names;
mod open;
mod output;
mod places;
mod request;
mod tools;

pub use encoder::{OnWhole, ResponseEvents};
pub use frame::Frame;
pub use items::answer_turn;
pub use output::response;
pub use request::{Asked, chat_request};
