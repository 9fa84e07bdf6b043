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
    finish_reason: &'static str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
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

/// In which form calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallForm {
    /// `tool_calls`.
    #[default]
    Tools,
    /// `function_call`, OpenAI's oldest form, which has one call a turn.
    Functions,
}

impl CallForm {
    /// The word for a finish reason.
    pub(crate) fn reason(self, reason: FinishReason) -> &'static str {
        match (self, reason) {
            (Self::Functions, FinishReason::ToolCalls) => "function_call",
            _ => reason.as_str(),
        }
    }
}

/// The JSON of the `chat.completion` with this answer.
pub fn completion(answer: Folded<'_>, id: &AnswerId, calls: CallForm) -> Vec<u8> {
    let only_calls = answer.content.is_empty() && !answer.tool_calls.is_empty();
    let message = Message {
        role: "assistant",
        content: (!only_calls).then_some(answer.content),
        refusal: None,
        reasoning_content: answer.reasoning,
        annotations: answer.annotations.iter().map(Written::from).collect(),
        tool_calls: match calls {
            CallForm::Tools => answer.tool_calls.iter().map(call).collect(),
            CallForm::Functions => Vec::new(),
        },
        function_call: match calls {
            CallForm::Tools => None,
            CallForm::Functions => answer.tool_calls.first().map(function),
        },
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
            finish_reason: calls.reason(answer.finish_reason),
        }],
        usage: answer.usage,
    };
    serde_json::to_vec(&completion).expect("a completion is JSON")
}

fn call(call: &FoldedCall) -> ToolCall<'_> {
    ToolCall { id: &call.id, kind: "function", function: function(call) }
}

fn function(call: &FoldedCall) -> Function<'_> {
    Function { name: &call.name, arguments: &call.arguments }
}
