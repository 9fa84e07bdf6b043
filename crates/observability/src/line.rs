//! The lines of a request, with their fields in order.

use serde::Serialize;

/// The present as RFC 3339, UTC, in milliseconds.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What a request asks. Fields and names are a contract with whoever reads the log.
#[derive(Debug, Serialize)]
pub struct RequestLine<'a> {
    /// The request's id; the same in its response line.
    pub request_id: &'a str,
    /// When.
    pub timestamp: String,
    /// `INFO`.
    pub level: &'static str,
    /// `request`.
    pub r#type: &'static str,
    /// The address of the peer.
    pub client_ip: String,
    /// The key, masked.
    pub api_key: &'a str,
    /// Whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<&'a str>,
    /// The model asked for; null if that never became known.
    pub model: Option<&'a str>,
    /// What the client calls itself.
    pub user_agent: &'a str,
    /// What is asked.
    pub parameters: Parameters,
    /// The messages, if they are to be logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<&'a str>,
}

/// `parameters` of a request line.
#[derive(Debug, Serialize)]
pub struct Parameters {
    /// How many messages.
    pub message_count: usize,
    /// The options.
    pub parameters: Options,
}

/// `parameters.parameters` of a request line.
#[derive(Debug, Serialize)]
pub struct Options {
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Null if not given.
    pub temperature: Option<f64>,
    /// Null if not given.
    pub max_tokens: Option<u64>,
}

/// How a request ended. Fields and names are a contract with whoever reads the log.
#[derive(Debug, Serialize)]
pub struct ResponseLine<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// When it ended.
    pub timestamp: String,
    /// `INFO`; `ERROR` for an answer of 500 and above and for a failed stream.
    pub level: &'static str,
    /// `response`.
    pub r#type: &'static str,
    /// What was answered; 499 if the client hung up.
    pub status_code: u16,
    /// Milliseconds from the head of the request to the end.
    pub response_time_ms: u64,
    /// Upstream attempts after the first.
    pub retry_count: u32,
    /// The path.
    pub endpoint: &'a str,
    /// The method.
    pub method: &'a str,
    /// The address of the peer.
    pub client_ip: String,
    /// Whether a stream was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// The key, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<&'a str>,
    /// Whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<&'a str>,
    /// The upstream's dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<&'a str>,
    /// How thinking was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_mode: Option<&'a str>,
    /// Milliseconds in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_time_ms: Option<u64>,
    /// Milliseconds until the first byte of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte_ms: Option<u64>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'a str>,
    /// Tokens of the request, as the upstream counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the upstream counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// The text of the answer, if it is to be logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
}
