//! The lines of a request, with their fields in order.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::excerpt::Excerpt;
use crate::metrics::Owner;
use crate::record::Call;
use crate::tries::TryLine;

/// The present as RFC 3339, UTC, in milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// What a request asks. Fields and names are a contract with whoever reads the log.
#[derive(Debug, Serialize)]
pub(crate) struct RequestLine<'a> {
    /// The request's id; the same in its response line.
    pub(crate) request_id: &'a str,
    /// When.
    pub(crate) timestamp: String,
    /// `INFO`.
    pub(crate) level: &'static str,
    /// `request`.
    pub(crate) r#type: &'static str,
    /// The address of the peer.
    pub(crate) client_ip: String,
    /// The key, masked.
    pub(crate) api_key: &'a str,
    /// Whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_name: Option<&'a str>,
    /// The model asked for; null if that never became known.
    pub(crate) model: Option<&'a str>,
    /// What the client calls itself.
    pub(crate) user_agent: &'a str,
    /// What is asked.
    pub(crate) parameters: Parameters,
    /// The last messages, if they are to be logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<&'a [Box<RawValue>]>,
}

/// `parameters` of a request line.
#[derive(Debug, Serialize)]
pub(crate) struct Parameters {
    /// How many messages; null if the request was never understood.
    pub(crate) message_count: Option<usize>,
    /// The options.
    pub(crate) parameters: Options,
}

/// `parameters.parameters` of a request line.
#[derive(Debug, Serialize)]
pub(crate) struct Options {
    /// Whether a stream is wanted; null if the request was never understood.
    pub(crate) stream: Option<bool>,
    /// Null if not given.
    pub(crate) temperature: Option<f64>,
    /// Null if not given.
    pub(crate) max_tokens: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How a request ended. Fields and names are a contract with whoever reads the log.
#[derive(Debug, Serialize)]
pub(crate) struct ResponseLine<'a> {
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// The id of its trace, if it is recorded in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// When it ended.
    pub(crate) timestamp: String,
    /// `INFO`; `ERROR` for an answer of 500 and above and for a failed stream, unless its client was
    /// too slow; `WARN` where the gateway is asked whether it is ready, and is not.
    pub(crate) level: &'static str,
    /// `response`.
    pub(crate) r#type: &'static str,
    /// What was answered; 499 if the client hung up.
    pub(crate) status_code: u16,
    /// Milliseconds from the head of the request to the end.
    pub(crate) response_time_ms: u64,
    /// Upstream attempts after the first.
    pub(crate) retry_count: u32,
    /// The path.
    pub(crate) endpoint: &'a str,
    /// The method.
    pub(crate) method: &'a str,
    /// The address of the peer.
    pub(crate) client_ip: String,
    /// Which API, or which other route; from a fixed list.
    pub(crate) api: &'static str,
    /// Whether a stream was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<bool>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<&'a str>,
    /// The key, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<&'a str>,
    /// Whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_name: Option<&'a str>,
    /// The upstream's dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<&'a str>,
    /// How thinking was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) think_mode: Option<&'a str>,
    /// Milliseconds in queues: for a place of the model's, for a slot, for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue_time_ms: Option<u64>,
    /// Milliseconds until the model's first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_to_first_token_ms: Option<u64>,
    /// Milliseconds until the first byte of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_to_first_byte_ms: Option<u64>,
    /// Milliseconds that the answer waited for its client to take more.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) client_wait_ms: u64,
    /// Each time that the upstream was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<TryLine>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_reason: Option<&'a str>,
    /// Tokens of the request, as the upstream counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the upstream counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_tokens: Option<u64>,
    /// Events of the upstream's stream.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) upstream_events: u64,
    /// Bytes of the answer's body.
    pub(crate) bytes_sent: u64,
    /// The kind of failure, from a fixed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_kind: Option<&'static str>,
    /// Who could have prevented it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_owner: Option<Owner>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
    /// Which field of the request is at fault, in the gateway's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_param: Option<&'a str>,
    /// The text of the answer, if it is to be logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<&'a Excerpt>,
    /// The thinking, where it is shown apart and to be logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<&'a Excerpt>,
    /// The answer's tool calls, if they are to be logged.
    #[serde(skip_serializing_if = "<[Call]>::is_empty")]
    pub(crate) tool_calls: &'a [Call],
    /// How many more there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) tool_calls_left_out: u64,
}
