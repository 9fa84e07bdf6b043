//! A whole answer as a `chat.completion`.

use serde::Serialize;
use z2api_wire::event::{FinishReason, Usage};

use crate::annotation::Written;
use crate::fold::{Folded, FoldedCall};
use crate::sink::AnswerId;

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: FinishReason,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    annotations: Vec<Written<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// The JSON of the `chat.completion` with this answer.
pub fn completion(answer: Folded<'_>, id: &AnswerId) -> Vec<u8> {
    let only_calls = answer.content.is_empty() && !answer.tool_calls.is_empty();
    let message = Message {
        role: "assistant",
        content: (!only_calls).then_some(answer.content),
        refusal: None,
        reasoning_content: answer.reasoning,
        annotations: answer.annotations.iter().map(Written::from).collect(),
        tool_calls: answer.tool_calls.iter().map(call).collect(),
    };
    let completion = Completion {
        id: &id.id,
        object: "chat.completion",
        created: id.created,
        model: &id.model,
        choices: [Choice {
            index: 0,
            message,
            logprobs: None,
            finish_reason: answer.finish_reason,
        }],
        usage: answer.usage,
    };
    serde_json::to_vec(&completion).expect("a completion is JSON")
}

fn call(call: &FoldedCall) -> ToolCall<'_> {
    let FoldedCall { id, name, arguments, .. } = call;
    ToolCall { id, kind: "function", function: Function { name, arguments } }
}
