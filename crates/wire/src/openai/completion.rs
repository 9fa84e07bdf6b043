//! The request of OpenAI's older API, text completions.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::request::{Stop, StreamOptions};

/// The body of `POST /v1/completions`. Unknown fields are passed over.
#[derive(Debug, Deserialize)]
pub struct TextRequest {
    /// The model's public name.
    pub model: String,
    /// The text to go on from: a string, or an array of strings, of tokens, or of arrays of tokens.
    pub prompt: Option<Box<RawValue>>,
    /// Text that is to follow the answer.
    pub suffix: Option<String>,
    /// Whether to repeat the prompt before the answer.
    pub echo: Option<bool>,
    /// How many answers to choose from.
    pub best_of: Option<u32>,
    /// How many answers are wanted.
    pub n: Option<u32>,
    /// How many token probabilities are wanted; 0 wants those of the answer itself.
    pub logprobs: Option<u32>,
    /// Whether to stream the answer.
    pub stream: Option<bool>,
    /// How to stream it.
    pub stream_options: Option<StreamOptions>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Words that end the answer.
    pub stop: Option<Stop>,
    /// Against words said often.
    pub frequency_penalty: Option<f64>,
    /// Against words said at all.
    pub presence_penalty: Option<f64>,
    /// For and against single tokens.
    pub logit_bias: Option<Box<RawValue>>,
    /// For the same answer to the same request.
    pub seed: Option<i64>,
    /// The client's name for its user.
    pub user: Option<String>,
    /// z2api's own: how to show the thinking of this answer.
    pub reasoning_format: Option<String>,
}
