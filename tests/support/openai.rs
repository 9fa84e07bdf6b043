//! Small answers of an upstream in OpenAI's shape.

use serde_json::{Value, json};
use z2api_upstream_sim::Script;

/// An event that says this.
pub fn chunk(delta: &Value, finish: Option<&str>) -> String {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
}

/// Says these, and ends for this reason.
pub fn says(deltas: &[Value], finish: &str) -> Script {
    let said = deltas.iter().map(|delta| chunk(delta, None));
    Script::events(said.chain([chunk(&json!({}), Some(finish)), "[DONE]".to_owned()]))
}
