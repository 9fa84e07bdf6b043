//! A request of the Responses API, as a chat request.
//!
//! What only OpenAI's own servers can do is refused by name.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::openai::request::{ChatRequest, Content, Message, Role};
use z2api_wire::openai::responses::{Input, ResponsesRequest, TextOptions, Tool};

use super::items::add_items;
use crate::as_chat::{OfFunction, Offered, json, need, no_such_tool, said, switched};
use crate::request::{RequestError, invalid, unsupported};

/// A request, understood.
#[derive(Debug)]
pub struct Asked {
    /// What is asked, with the instructions first.
    pub chat: ChatRequest,
    /// The conversation up to here, without instructions: what a later request goes on from.
    pub conversation: Vec<Message>,
}

/// Writes the request in the words of Chat Completions. `earlier` is the conversation that it goes
/// on from.
///
/// # Errors
/// [`RequestError`], which names the place by the fields of the Responses API.
pub fn chat_request(
    request: &mut ResponsesRequest,
    earlier: Vec<Message>,
) -> Result<Asked, RequestError> {
    check(request)?;
    let mut conversation = earlier;
    match request.input.take() {
        None => return invalid("input", "`input` is missing.".to_owned()),
        Some(Input::Text(text)) => conversation.push(Message::user(text)),
        Some(Input::Items(items)) => add_items(items, &mut conversation)?,
    }
    let instructions = request.instructions.clone();
    let instructions = instructions.map(|text| said(Role::System, Content::Text(text)));
    let effort = request.reasoning.as_ref().and_then(|asked| asked.effort.clone());
    let mut dropped = Vec::new();
    let format = request.text.as_ref().and_then(|TextOptions { format }| format.as_deref());
    let chat = ChatRequest {
        model: request.model.clone(),
        messages: instructions.into_iter().chain(conversation.iter().cloned()).collect(),
        stream: request.stream,
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_output_tokens,
        tools: tools(request.tools.as_deref().unwrap_or_default(), &mut dropped)?,
        tool_choice: request.tool_choice.as_deref().map(tool_choice),
        response_format: format.map(response_format).transpose()?,
        // An effort switches the thinking of a model that can do either.
        thinking: effort.as_ref().map(|word| switched(word != "none")),
        reasoning_effort: effort,
        user: request.user.clone(),
        parallel_tool_calls: request.parallel_tool_calls,
        dropped,
        ..ChatRequest::default()
    };
    Ok(Asked { chat, conversation })
}

fn check(request: &ResponsesRequest) -> Result<(), RequestError> {
    if request.conversation.is_some() {
        let why = "no conversations are kept; use `previous_response_id`, or send all of it";
        return unsupported("conversation", why);
    }
    if request.prompt.is_some() {
        return unsupported("prompt", "no prompts are kept; send its text as `instructions`");
    }
    if request.background == Some(true) {
        return unsupported("background", "answers are given at once; ask for a stream");
    }
    if request.top_logprobs.unwrap_or(0) > 0 {
        return unsupported("top_logprobs", "the upstream does not tell them; leave it out");
    }
    Ok(())
}

fn tools(
    tools: &[Tool],
    dropped: &mut Vec<&'static str>,
) -> Result<Option<Box<RawValue>>, RequestError> {
    let mut functions = Vec::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate() {
        let place = format!("tools[{at}]");
        match (tool.kind.as_str(), &tool.name) {
            ("function", name) => functions.push(OfFunction::new(Offered {
                name: need(name.as_deref(), &place, "name")?,
                description: tool.description.as_deref(),
                parameters: tool.parameters.as_deref(),
                strict: None,
            })),
            // What is only offered beside the rest may be missing: Codex always sends both.
            ("web_search", _) if tool.external_web_access == Some(false) => {
                dropped.push("tools.web_search");
            }
            ("namespace", _) => dropped.push("tools.namespace"),
            ("web_search" | "web_search_preview", _) => {
                let why = "to search the web, ask a model with -Search in its name";
                return unsupported(&place, why);
            }
            (kind, _) => return no_such_tool(&place, kind, ""),
        }
    }
    Ok((!functions.is_empty()).then(|| json(&functions)))
}

/// A word stays; `{"type": "function", "name": …}` gets the shape of Chat Completions.
fn tool_choice(choice: &RawValue) -> Box<RawValue> {
    #[derive(serde::Deserialize, Serialize)]
    struct Named {
        name: String,
    }
    match serde_json::from_str::<Named>(choice.get()) {
        Ok(function) => json(&OfFunction::new(function)),
        Err(_) => choice.to_owned(),
    }
}

/// The same forms, but for where a schema stands.
fn response_format(format: &RawValue) -> Result<Box<RawValue>, RequestError> {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    match serde_json::from_str::<Kind>(format.get()) {
        Ok(Kind { kind }) if kind == "json_schema" => unsupported(
            "text.format",
            "the upstream follows no schema; ask for `json_object` and describe the form in words",
        ),
        Ok(_) => Ok(format.to_owned()),
        Err(_) => invalid("text.format", "`text.format` must be an object with a type.".to_owned()),
    }
}
