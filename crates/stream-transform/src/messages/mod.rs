//! Anthropic's Messages API over the same path: its requests as chats, answers as its messages.

mod count;
mod encoder;
mod hints;
mod request;
mod tools;
mod turns;
mod whole;

pub use count::estimate_tokens;
pub use encoder::MessageEvents;
pub use request::chat_request;
pub use whole::message;

use serde::Serialize;
use z2api_wire::event::{FinishReason, Usage};

use count::Size;

/// What stands in the `signature` of a block of thinking that is shown. The upstream signs nothing:
/// the mark only tells clients that want one before they give thinking back that the block is whole.
const SIGNATURE: &str = "z2api";

/// Why the model stopped, in Anthropic's words.
fn stop_reason(reason: FinishReason, stop_word: Option<&str>) -> &'static str {
    match reason {
        FinishReason::Stop if stop_word.is_some() => "stop_sequence",
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextFull => "model_context_window_exceeded",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
    }
}

/// Token counts in Anthropic's shape, where the input is counted without what was cached. Its two
/// sums are not optional: what the upstream has not told is estimated, and marked as such.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Counts {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Details>,
    /// z2api's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

/// How the answer's tokens divide.
#[derive(Debug, Clone, Copy, Serialize)]
struct Details {
    thinking_tokens: u64,
}

impl Counts {
    /// What the upstream told, or else an estimate from what was asked and said.
    fn of(usage: Option<&Usage>, input_tokens: u64, said: Size) -> Self {
        let estimate = || Self {
            input_tokens,
            output_tokens: said.tokens(),
            estimated: true,
            ..Self::default()
        };
        usage.map_or_else(estimate, Self::from)
    }
}

impl From<&Usage> for Counts {
    fn from(usage: &Usage) -> Self {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        let thought = usage.completion_tokens_details.and_then(|details| details.reasoning_tokens);
        Self {
            input_tokens: usage.prompt_tokens.saturating_sub(cached.unwrap_or(0)),
            output_tokens: usage.completion_tokens,
            cache_read_input_tokens: cached,
            output_tokens_details: thought.map(|thinking_tokens| Details { thinking_tokens }),
            estimated: false,
        }
    }
}

/// What an answer must know of its request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request's id, which errors repeat.
    pub request_id: String,
    /// About how many tokens it has ([`estimate_tokens`]).
    pub input_tokens: u64,
    /// The thinking is not to be shown, but to be given back.
    pub hides_thinking: bool,
}
