//! The demo's search: one invented page, found in either dialect.

use serde_json::json;

const TITLE: &str = "A page that does not exist";
const LINK: &str = "https://example.org/simulated-search";
const CONTENT: &str = "This page was invented by a simulator. It says nothing, at some length.";

/// The search call and its result. They come before anything is thought or said.
pub(super) fn web_events(question: &str) -> [String; 2] {
    let event = |data| json!({ "type": "chat:completion", "data": data }).to_string();
    let call = json!({
        "phase": "tool_call",
        "delta_name": "search",
        "delta_arguments": json!({ "queries": [question] }).to_string(),
        "metadata": { "tool_call_id": "call_sim_1", "type": "function" },
    });
    let response = json!({
        "phase": "tool_response",
        "tool_name": "search",
        "status": "completed",
        "delta_content": format!("[ref_id=turn0search0†{TITLE}†{LINK}]\nDate: 2026-01-01\n{CONTENT}"),
        "metadata": { "browser": null, "tool_call_id": "call_sim_1" },
    });
    [event(call), event(response)]
}

/// The chunk that carries the search result.
pub(super) fn api_event(model: &str) -> String {
    json!({
        "id": "20260101sim0001",
        "created": 1_767_225_600,
        "model": model,
        "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }],
        "web_search": [{ "title": TITLE, "link": LINK, "content": CONTENT, "refer": "ref_1" }],
    })
    .to_string()
}
