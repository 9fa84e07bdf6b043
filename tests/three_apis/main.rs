//! Chat Completions, Messages and Responses held against each other: the same question, asked of
//! the same upstream in the words of each, has the same text, thinking, calls, usage and errors.

mod answers;
mod api;
mod asked;
mod broken;
mod fields;
mod heard;
mod refusals;
mod turns;
