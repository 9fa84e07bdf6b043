//! Chat requests as clients send them.

use serde_json::json;
use z2api_upstream_sim::text::words;

/// The JSON of a request with so many turns of about `size` bytes each.
pub fn request(turns: usize, size: usize) -> Vec<u8> {
    let turn = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": words(size, at as u64)})
    };
    let messages: Vec<_> = (0..turns).map(turn).collect();
    let request = json!({
        "model": "GLM-4.5",
        "messages": messages,
        "stream": true,
        "temperature": 0.7,
        "max_tokens": 4096,
    });
    request.to_string().into_bytes()
}
