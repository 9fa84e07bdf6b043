//! A request of the Messages API, as a chat request.
//!
//! What only Anthropic's own servers can do is refused by name where its absence would change the
//! answer's meaning, and is otherwise a hint: left out, and named.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::anthropic::request::{
    ContextManagement, MessagesRequest, Metadata, OutputConfig, Role as Speaker, Text, TextBlock,
    Thinking,
};
use z2api_wire::json::read_part;
use z2api_wire::names::{Names, Origin};
use z2api_wire::openai::request::{
    ChatRequest, Content, Message, Part, Role, Thinking as Switched,
};

use super::hints;
use super::tools::Tools;
use super::turns::add_turn;
use crate::as_chat::{Turns, json, need, said, switched};
use crate::request::{RequestError, invalid, unsupported};

/// Anthropic names no limit. Each word is looked for in all of the answer.
const MAX_STOP_WORDS: usize = 256;

/// Chat's fields, and this API's. The first counts where the answer's form was asked for by its
/// older name.
const FIELDS: &[(&str, &str)] = &[
    ("response_format", "output_format"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("reasoning_effort", "output_config.effort"),
    ("response_format", "output_config.format"),
    ("tool_choice.function", "tool_choice"),
    ("tools[].function.parameters", "tools[].input_schema"),
    ("tools[].function", "tools[]"),
    ("user", "metadata.user_id"),
    ("web_search_options", "tools"),
];

/// Writes the request in the words of Chat Completions.
///
/// # Errors
/// [`RequestError`], which names the place by the fields of the Messages API.
pub fn chat_request(request: MessagesRequest) -> Result<ChatRequest, RequestError> {
    check(&request)?;
    let dropped = hints::dropped(&request);
    let (format_field, format) = format_of(request.output_config.as_ref(), request.output_format);
    let older = format_field == "output_format";
    let tools = Tools::of(request.tools.as_deref().unwrap_or_default())?;
    let mut turns = Turns::default();
    if let Some((message, origin)) = request.system.and_then(system) {
        turns.push(message, origin);
    }
    for (at, turn) in request.messages.into_iter().enumerate() {
        add_turn(turn, at, &mut turns)?;
    }
    let Turns { messages, origins } = turns;
    let one_call = request.tool_choice.as_ref().and_then(|choice| choice.disable_parallel_tool_use);
    let keeps = request.context_management.as_ref().is_some_and(ContextManagement::keeps_thinking);
    let thinking = |asked: Thinking| Switched {
        clear_thinking: keeps.then_some(false),
        ..switched(asked.is_on())
    };
    Ok(ChatRequest {
        model: request.model,
        messages,
        stream: request.stream,
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_tokens,
        // An upstream that heeds them itself does not tell which it has met.
        stop_here: request.stop_sequences.unwrap_or_default(),
        tool_choice: match request.tool_choice {
            Some(choice) => tools.choice(choice)?,
            None => None,
        },
        tools: tools.functions,
        web_search_options: tools.search,
        parallel_tool_calls: one_call.map(|one| !one),
        response_format: format.map(|format| response_format(&format, format_field)).transpose()?,
        thinking: request.thinking.map(thinking),
        reasoning_effort: request.output_config.and_then(|config| config.effort),
        service_tier: request.service_tier,
        user: request.metadata.and_then(|Metadata { user_id }| user_id),
        dropped,
        names: Names {
            fields: if older { FIELDS } else { &FIELDS[1..] },
            origins,
            tools: tools.places,
        },
        ..ChatRequest::default()
    })
}

fn check(request: &MessagesRequest) -> Result<(), RequestError> {
    match request.max_tokens {
        None => return invalid("max_tokens", "`max_tokens` is missing.".to_owned()),
        Some(0) => return invalid("max_tokens", "`max_tokens` must be at least 1.".to_owned()),
        Some(_) => {}
    }
    match request.messages.last() {
        None => {
            return invalid("messages", "`messages` must hold at least one message.".to_owned());
        }
        Some(last) if last.role == Speaker::Assistant => {
            let place = format!("messages[{}]", request.messages.len() - 1);
            let why = "the upstream begins each answer anew and does not go on from one of \
                       yours; end with a turn of the user's";
            return unsupported(&place, why);
        }
        Some(_) => {}
    }
    check_stop_words(request.stop_sequences.as_deref().unwrap_or_default())?;
    check_places(request)
}

fn check_stop_words(words: &[String]) -> Result<(), RequestError> {
    const FIELD: &str = "stop_sequences";
    if words.len() > MAX_STOP_WORDS {
        return invalid(FIELD, format!("`{FIELD}` may hold at most {MAX_STOP_WORDS} stop words."));
    }
    if let Some(at) = words.iter().position(String::is_empty) {
        let param = format!("{FIELD}[{at}]");
        return invalid(&param, format!("`{param}` must not be empty."));
    }
    Ok(())
}

/// What only Anthropic's own servers have, and no answer would be the same without.
fn check_places(request: &MessagesRequest) -> Result<(), RequestError> {
    if request.mcp_servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
        let why = "the upstream asks no tool servers of yours; offer their tools as `tools`";
        return unsupported("mcp_servers", why);
    }
    if request.thread.is_some() {
        let why = "no conversations are kept; send all of it without `thread`";
        return unsupported("thread", why);
    }
    if request.compaction.is_some() {
        let why = "the upstream sums nothing up by itself; ask for a summary in words";
        return unsupported("compaction", why);
    }
    if request.container.is_some() {
        let why = "the upstream runs no code and has no skills; leave it out";
        return unsupported("container", why);
    }
    if request.inference_geo.as_deref().is_some_and(|place| place != "global") {
        let why = "where the upstream computes cannot be chosen; leave it out";
        return unsupported("inference_geo", why);
    }
    Ok(())
}

/// Instructions, if there are any.
fn system(text: Text) -> Option<(Message, Origin)> {
    let mut origin = Origin::at("system");
    let content = match text {
        Text::Plain(text) => Content::Text(text),
        Text::Blocks(blocks) if blocks.is_empty() => return None,
        Text::Blocks(blocks) => {
            origin.parts = (0..blocks.len()).map(|at| format!("system[{at}]")).collect();
            let part = |block: TextBlock| Part::Text { text: block.text };
            Content::Parts(blocks.into_iter().map(part).collect())
        }
    };
    Some((said(Role::System, content), origin))
}

/// The form that is asked for, and in which field.
fn format_of(
    config: Option<&OutputConfig>,
    older: Option<Box<RawValue>>,
) -> (&'static str, Option<Box<RawValue>>) {
    match config.and_then(|config| config.format.clone()) {
        Some(format) => ("output_config.format", Some(format)),
        None => ("output_format", older),
    }
}

/// A schema, where Chat Completions has it; whether the upstream keeps to one is judged there.
fn response_format(format: &RawValue, field: &str) -> Result<Box<RawValue>, RequestError> {
    #[derive(serde::Deserialize)]
    struct Format {
        #[serde(rename = "type")]
        kind: String,
        schema: Option<Box<RawValue>>,
    }
    #[derive(Serialize)]
    struct OfSchema {
        #[serde(rename = "type")]
        kind: &'static str,
        json_schema: Named,
    }
    #[derive(Serialize)]
    struct Named {
        name: &'static str,
        schema: Box<RawValue>,
        strict: bool,
    }
    let given: Format = read_part(format.get(), field)?;
    if given.kind != "json_schema" {
        return Ok(format.to_owned());
    }
    let schema = need(given.schema, field, "schema")?;
    let json_schema = Named { name: "answer", schema, strict: true };
    Ok(json(&OfSchema { kind: "json_schema", json_schema }))
}
