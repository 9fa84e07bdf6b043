//! A wish in the `zai-web` dialect.

use serde_json::json;

use super::wish::Wish;
use crate::{demo::Asked, faults, text::Answer};

pub(super) fn events(wish: &Wish, asked: &Asked) -> Vec<String> {
    let answer = Answer {
        thinking: if asked.thinking { wish.think.clone() } else { String::new() },
        text: wish.said(|at| format!("【turn0search{at}】")),
        piece: wish.piece(),
        usage: (wish.usage.prompt, wish.usage.completion),
    };
    let found = if asked.search && !wish.found.is_empty() { search(wish) } else { Vec::new() };
    found.into_iter().chain(answer.web_events()).collect()
}

/// The error in the middle of an answer.
pub(super) fn failure() -> String {
    faults::web_error_event("INTERNAL_ERROR", "The simulated model was told to fail.")
}

/// The call of a search and what it found.
fn search(wish: &Wish) -> Vec<String> {
    let pages = wish.found.iter().enumerate().map(|(at, page)| {
        format!("[ref_id=turn0search{at}†{}†{}]\nA page.\n", page.title, page.link)
    });
    let call = json!({
        "phase": "tool_call",
        "delta_name": "search",
        "delta_arguments": json!({ "queries": ["simulated"] }).to_string(),
        "metadata": { "tool_call_id": "call_sim_1", "type": "function" },
    });
    let response = json!({
        "phase": "tool_response",
        "tool_name": "search",
        "status": "completed",
        "delta_content": pages.collect::<String>(),
        "metadata": { "browser": null, "tool_call_id": "call_sim_1" },
    });
    let event = |data| json!({ "type": "chat:completion", "data": data }).to_string();
    vec![event(call), event(response)]
}
