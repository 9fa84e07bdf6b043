//! A wish in the `openai` dialect.

use serde_json::{Value, json};

use super::wish::{Call, Usage, Wish};
use crate::{demo::Asked, faults, text::pieces};

pub(super) fn events(wish: &Wish, asked: &Asked) -> Vec<String> {
    let chunk = |delta: Value| chunk(&asked.model, json!({ "index": 0, "delta": delta }));
    let mut chunks = Vec::new();
    if asked.search && !wish.found.is_empty() {
        let mut found = chunk(json!({ "role": "assistant", "content": "" }));
        found["web_search"] = pages(wish);
        chunks.push(found);
    }
    let thinking = if asked.thinking { wish.think.as_str() } else { "" };
    let said = wish.said(|at| format!("[ref_{}]", at + 1));
    chunks.extend(pieces(thinking, wish.piece()).map(|t| chunk(json!({ "reasoning_content": t }))));
    chunks.extend(pieces(&said, wish.piece()).map(|t| chunk(json!({ "content": t }))));
    for (index, call) in wish.call.iter().enumerate() {
        chunks
            .extend(deltas(index, call, wish.piece()).map(|c| chunk(json!({ "tool_calls": [c] }))));
    }
    chunks.push(last(wish, &asked.model));
    let done = std::iter::once("[DONE]".to_owned());
    chunks.iter().map(Value::to_string).chain(done).collect()
}

/// The error in the middle of an answer.
pub(super) fn failure() -> String {
    faults::api_error_event("1234", "The simulated model was told to fail.")
}

/// A call: its name first, then its arguments, in pieces.
fn deltas(index: usize, call: &Call, piece: usize) -> impl Iterator<Item = Value> {
    let function = json!({ "name": call.name, "arguments": "" });
    let first = json!({ "index": index, "id": call.id, "type": "function", "function": function });
    let arguments = json!(call.arguments).to_string();
    let rest: Vec<Value> = pieces(&arguments, piece)
        .map(|text| json!({ "index": index, "function": { "arguments": text } }))
        .collect();
    std::iter::once(first).chain(rest)
}

fn pages(wish: &Wish) -> Value {
    let page = |(at, page): (usize, &super::wish::Page)| {
        json!({
            "title": page.title, "link": page.link, "content": "A page.",
            "refer": format!("ref_{}", at + 1),
        })
    };
    wish.found.iter().enumerate().map(page).collect()
}

/// The chunk with the finish reason and the usage.
fn last(wish: &Wish, model: &str) -> Value {
    let usual = if wish.call.is_empty() { "stop" } else { "tool_calls" };
    let finish = wish.finish.as_deref().unwrap_or(usual);
    let delta = json!({ "role": "assistant", "content": "" });
    let mut chunk = chunk(model, json!({ "index": 0, "delta": delta, "finish_reason": finish }));
    chunk["usage"] = usage(&wish.usage);
    chunk
}

fn usage(usage: &Usage) -> Value {
    let mut told = json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    });
    if let Some(cached) = usage.cached {
        told["prompt_tokens_details"] = json!({ "cached_tokens": cached });
    }
    if let Some(reasoning) = usage.reasoning {
        told["completion_tokens_details"] = json!({ "reasoning_tokens": reasoning });
    }
    told
}

fn chunk(model: &str, choice: Value) -> Value {
    json!({
        "id": "20260101sim0001",
        "created": 1_767_225_600,
        "model": model,
        "choices": [choice],
    })
}
