//! A request of the Responses API, as a chat request.
//!
//! What only OpenAI's own servers can do is refused by name.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::json::{self, Object};
use z2api_wire::names::{Names, Origin};
use z2api_wire::openai::request::{ChatRequest, Content, Message, Role};
use z2api_wire::openai::responses::{Input, ResponsesRequest, TextFormat};

use super::choice::Choice;
use super::frame::Frame;
use super::hints;
use super::items::add_items;
use super::tools::{Tools, tools};
use crate::as_chat::{Turns, json, need, said, switched};
use crate::request::{RequestError, invalid, unsupported};

/// Chat's fields, and this API's.
const FIELDS: &[(&str, &str)] = &[
    ("max_tokens", "max_output_tokens"),
    ("messages", "input"),
    ("reasoning_effort", "reasoning.effort"),
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("thinking", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("web_search_options", "tools"),
];

/// A request, understood.
#[derive(Debug)]
pub struct Asked {
    /// What is asked, with the instructions first.
    pub chat: ChatRequest,
    /// What this request adds to the conversation, without instructions: a later one goes on from it.
    pub said: Vec<Message>,
    /// What the response is written in.
    pub frame: Frame,
}

/// Writes the request in the words of Chat Completions. `earlier` is the conversation that it goes
/// on from.
///
/// # Errors
/// [`RequestError`], which names the place by the fields of the Responses API.
pub fn chat_request(
    mut request: ResponsesRequest,
    earlier: Vec<Message>,
) -> Result<Asked, RequestError> {
    check(&request)?;
    let choice = request.tool_choice.as_deref().map(Choice::read).transpose()?;
    let tools = tools(request.tools.as_deref(), choice.as_ref())?;
    let may_search = choice.as_ref().is_none_or(Choice::allows_search);
    let tool_choice = match choice {
        Some(choice) => choice.in_chat(&tools)?,
        None => None,
    };
    let Tools { functions, names, searches, mut dropped } = tools;
    dropped.extend(hints::dropped(&request)?);
    let mut turns = Turns::default();
    match request.input.take() {
        None => return invalid("input", "`input` is missing.".to_owned()),
        Some(Input::Text(text)) => turns.push(Message::user(text), Origin::at("input")),
        Some(Input::List(items)) => add_items(items, &names, &mut turns, &mut dropped)?,
    }
    let mut origins: Vec<Origin> =
        earlier.iter().map(|_| Origin::at("previous_response_id")).collect();
    origins.extend(turns.origins);
    let mut messages = earlier;
    let said_now = turns.messages;
    messages.extend_from_slice(&said_now);
    if let Some(text) = request.instructions.clone() {
        messages.insert(0, said(Role::System, Content::Text(text)));
        origins.insert(0, Origin::at("instructions"));
    }
    let effort = request.reasoning.as_ref().and_then(|asked| asked.effort.clone());
    let text = request.text.as_ref();
    let format = text.and_then(|text| text.format.as_deref());
    let chat = ChatRequest {
        model: request.model.clone(),
        messages,
        stream: request.stream,
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_output_tokens,
        tools: functions,
        tool_choice,
        web_search_options: (searches && may_search).then(|| json(&serde_json::Map::new())),
        response_format: format.map(response_format).transpose()?,
        // An effort switches the thinking of a model that can do either.
        thinking: effort.as_ref().map(|word| switched(word != "none")),
        reasoning_effort: effort.filter(|word| word != "none"),
        verbosity: text.and_then(|text| text.verbosity.clone()),
        user: request.user.clone(),
        safety_identifier: request.safety_identifier.clone(),
        service_tier: request.service_tier.clone(),
        prompt_cache_key: request.prompt_cache_key.clone(),
        prompt_cache_retention: request.prompt_cache_retention.clone(),
        parallel_tool_calls: request.parallel_tool_calls,
        dropped,
        names: Names { fields: FIELDS, origins, ..Names::default() },
        ..ChatRequest::default()
    };
    Ok(Asked { chat, said: said_now, frame: Frame::new(request, names) })
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
    if request.moderation.is_some() {
        return unsupported("moderation", "nothing is judged here; leave it out");
    }
    Ok(())
}

/// The same forms, but for where a schema stands.
fn response_format(format: &RawValue) -> Result<Box<RawValue>, RequestError> {
    const PARAM: &str = "text.format";
    #[derive(Serialize)]
    struct Schema<'a> {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        schema: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    }
    #[derive(Serialize)]
    struct Format<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        json_schema: Schema<'a>,
    }
    let Object(read): Object<TextFormat<'_>> = json::read_part(format.get(), PARAM)?;
    if read.kind != "json_schema" {
        return Ok(format.to_owned());
    }
    let json_schema = Schema {
        name: need(read.name, PARAM, "name")?,
        description: read.description,
        schema: need(read.schema, PARAM, "schema")?,
        strict: read.strict,
    };
    Ok(json(&Format { kind: "json_schema", json_schema }))
}
