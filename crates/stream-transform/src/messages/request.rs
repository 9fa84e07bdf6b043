//! A request of the Messages API, as a chat request.
//!
//! What only Anthropic's own servers can do is refused by name. What is a hint is left out: cache
//! marks, the size of the thinking, `top_k`.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::anthropic::request::{
    MessagesRequest, Metadata, Text, TextBlock, Tool, ToolChoice,
};
use z2api_wire::names::{Names, Origin};
use z2api_wire::openai::request::{ChatRequest, Content, Message, Part, Role, Stop};

use super::turns::add_turn;
use crate::as_chat::{OfFunction, Offered, Turns, json, no_such_tool, said, switched};
use crate::request::{RequestError, invalid, unsupported};

/// Chat's fields, and this API's.
const FIELDS: &[(&str, &str)] = &[
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("reasoning_effort", "output_config.effort"),
    ("response_format", "output_config.format"),
    ("stop", "stop_sequences"),
    ("tool_choice.function", "tool_choice"),
    ("tools[].function.parameters", "tools[].input_schema"),
    ("tools[].function", "tools[]"),
    ("user", "metadata.user_id"),
];

/// Writes the request in the words of Chat Completions.
///
/// # Errors
/// [`RequestError`], which names the place by the fields of the Messages API.
pub fn chat_request(request: MessagesRequest) -> Result<ChatRequest, RequestError> {
    check(&request)?;
    let mut turns = Turns::default();
    if let Some((message, origin)) = request.system.and_then(system) {
        turns.push(message, origin);
    }
    for (at, turn) in request.messages.into_iter().enumerate() {
        add_turn(turn, at, &mut turns)?;
    }
    let Turns { messages, origins } = turns;
    Ok(ChatRequest {
        model: request.model,
        messages,
        stream: request.stream,
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_tokens,
        stop: request.stop_sequences.filter(|words| !words.is_empty()).map(Stop::Many),
        tools: tools(&request.tools.unwrap_or_default())?,
        tool_choice: request.tool_choice.as_ref().map(tool_choice),
        thinking: request.thinking.map(|asked| switched(asked.is_on())),
        reasoning_effort: request.output_config.and_then(|config| config.effort),
        dropped: request.top_k.map(|_| "top_k").into_iter().collect(),
        user: request.metadata.and_then(|Metadata { user_id }| user_id),
        names: Names { fields: FIELDS, origins, tools: Vec::new() },
        ..ChatRequest::default()
    })
}

fn check(request: &MessagesRequest) -> Result<(), RequestError> {
    match request.max_tokens {
        None => return invalid("max_tokens", "`max_tokens` is missing.".to_owned()),
        Some(0) => return invalid("max_tokens", "`max_tokens` must be at least 1.".to_owned()),
        Some(_) => {}
    }
    if request.messages.is_empty() {
        return invalid("messages", "`messages` must hold at least one message.".to_owned());
    }
    if request.mcp_servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
        let why = "the upstream asks no tool servers of yours; offer their tools as `tools`";
        return unsupported("mcp_servers", why);
    }
    if request.output_config.as_ref().is_some_and(|config| config.format.is_some()) {
        let why = "the upstream follows no schema; ask for the form in words, or offer a tool";
        return unsupported("output_config.format", why);
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

fn tools(tools: &[Tool]) -> Result<Option<Box<RawValue>>, RequestError> {
    let mut functions = Vec::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate() {
        match tool.kind.as_deref() {
            None | Some("custom") => {}
            Some(kind) => {
                let search = if kind.starts_with("web_search") {
                    "; to search the web, ask a model with -Search in its name"
                } else {
                    ""
                };
                return no_such_tool(&format!("tools[{at}]"), kind, search);
            }
        }
        functions.push(OfFunction::new(Offered {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.input_schema.as_deref(),
        }));
    }
    Ok((!functions.is_empty()).then(|| json(&functions)))
}

fn tool_choice(choice: &ToolChoice) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Name<'a> {
        name: &'a str,
    }
    match choice {
        ToolChoice::Auto { .. } => json(&"auto"),
        ToolChoice::Any {} => json(&"required"),
        ToolChoice::None {} => json(&"none"),
        ToolChoice::Tool { name } => json(&OfFunction::new(Name { name })),
    }
}
