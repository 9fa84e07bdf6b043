//! Finds what is private in what tests send, and in what the simulated upstream is asked and says.

use serde_json::Value;
use z2api_upstream_sim::{Recorded, Script};

use crate::watch::{Kind, keep};

/// A shorter text may stand anywhere by chance, in bytes.
const LEAST_TEXT: usize = 12;
/// What is longer than this is not looked through, in bytes.
const MOST_LOOKED_AT: usize = 512 * 1024;

/// Fields of a request that are the client's own affair.
const ASKED: [&str; 21] = [
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "tools",
    "functions",
    "user",
    "metadata",
    "stop",
    "stop_sequences",
    "response_format",
    "text",
    "output_config",
    "safety_identifier",
    "prompt_cache_key",
    "prediction",
    "signature_prompt",
    "variables",
    "suffix",
    "web_search_options",
];
/// Fields within those that tell what something is.
const TERMS: [&str; 8] =
    ["role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "media_type", "model"];
/// Fields of an answer that the model fills.
const SAID: [&str; 11] = [
    "content",
    "reasoning_content",
    "delta_content",
    "edit_content",
    "arguments",
    "text",
    "thinking",
    "title",
    "url",
    "link",
    "web_search",
];
/// Fields in which the upstream complains.
const COMPLAINTS: [&str; 3] = ["message", "detail", "msg"];

/// Learns from a request on its way to the gateway.
pub(crate) fn learn_request(path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    values.filter(|(name, _)| name.ends_with("key")).for_each(|(_, key)| keep(Kind::Key, key));
    for (name, value) in headers {
        match name.to_ascii_lowercase().as_str() {
            "authorization" => keep(Kind::Key, value.rsplit(' ').next().unwrap_or(value)),
            "x-api-key" | "cookie" | "proxy-authorization" => keep(Kind::Key, value),
            _ => {}
        }
    }
    learn_asked(body);
}

/// Learns from what the simulated upstream is asked and will say.
pub(crate) fn learn_upstream(request: &Recorded, script: &Script) {
    if let Some(token) = request.bearer() {
        keep(Kind::Key, token);
    }
    learn_asked(&request.body);
    learn_said(&script.body());
}

fn learn_asked(body: &[u8]) {
    let Some(Value::Object(fields)) = json(body) else { return };
    for (_, value) in fields.iter().filter(|(name, _)| ASKED.contains(&name.as_str())) {
        leaves(value, &mut |text| keep(Kind::Text, text));
    }
}

/// An event stream, or a whole answer.
fn learn_said(body: &[u8]) {
    if body.len() > MOST_LOOKED_AT {
        return;
    }
    let text = String::from_utf8_lossy(body);
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    for said in events.chain([text.as_ref()]).filter_map(|one| json(one.as_bytes())) {
        learn_fields(&said);
    }
}

fn learn_fields(said: &Value) {
    match said {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    (name, _) if SAID.contains(&name) => {
                        leaves(value, &mut |text| keep(Kind::Text, text));
                    }
                    (name, Value::String(text)) if COMPLAINTS.contains(&name) => {
                        learn_complaint(text);
                    }
                    (_, value) => learn_fields(value),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(learn_fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn learn_complaint(text: &str) {
    if text.len() >= LEAST_TEXT {
        keep(Kind::Complaint, text);
    }
}

/// All texts in a value, and in JSON within them.
fn leaves(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => {
            if text.len() >= LEAST_TEXT {
                each(text);
            }
            if let Some(inner @ Value::Object(_)) = json(text.as_bytes()) {
                leaves(&inner, each);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| leaves(one, each)),
        Value::Object(fields) => {
            let texts = fields.iter().filter(|(name, _)| !TERMS.contains(&name.as_str()));
            texts.for_each(|(_, one)| leaves(one, each));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn json(bytes: &[u8]) -> Option<Value> {
    let starts = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    (bytes.len() <= MOST_LOOKED_AT && matches!(starts, Some(b'{' | b'[')))
        .then(|| serde_json::from_slice(bytes).ok())?
}
