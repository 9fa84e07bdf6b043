//! The client's tools: in the newer form, and within what the upstream can do.

use serde_json::value::{RawValue, to_raw_value};
use z2api_wire::json::{self, Object};
use z2api_wire::openai::request::ChatRequest;
use z2api_wire::openai::tools::{Choice, Function, Tool, twice};

use super::{OFFICIAL, RequestError, Server, invalid, unsupported};

/// The official API takes no more, and OpenAI neither.
const MAX_TOOLS: usize = 128;

/// Writes `functions` and `function_call` as `tools` and `tool_choice`. The newer form wins.
pub(super) fn modernise(request: &mut ChatRequest, server: Server) -> Result<(), RequestError> {
    request.tools = list(request.tools.take());
    let functions = list(request.functions.take());
    let call = request.function_call.take();
    if let Some(functions) = functions.filter(|_| request.tools.is_none()) {
        if server == Server::WebChat {
            return no_tools("functions");
        }
        check_functions(&functions)?;
        let given: Vec<&RawValue> = json::read_part(functions.get(), "functions")?;
        let tools: Vec<_> =
            given.iter().map(|f| Wrapped { kind: "function", function: f }).collect();
        request.tools = Some(to_raw_value(&tools).expect("JSON of JSON"));
    }
    if let Some(call) = call.filter(|_| request.tool_choice.is_none()) {
        if forced(&call, "function_call")? {
            return cannot_force("function_call", server, "functions");
        }
        request.tool_choice = Some(call);
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Wrapped<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: &'a RawValue,
}

fn check_functions(functions: &RawValue) -> Result<(), RequestError> {
    let functions: Vec<Object<Function<'_>>> = json::read_part(functions.get(), "functions")?;
    check_names("functions", "", functions.iter().map(|function| &function.0))
}

pub(super) fn check(request: &ChatRequest, server: Server) -> Result<(), RequestError> {
    if let Some(tools) = &request.tools {
        check_tools(tools, server)?;
    }
    if let Some(choice) = &request.tool_choice
        && forced(choice, "tool_choice")?
    {
        return cannot_force("tool_choice", server, "tools");
    }
    Ok(())
}

fn check_tools(tools: &RawValue, server: Server) -> Result<(), RequestError> {
    if server == Server::WebChat {
        return no_tools("tools");
    }
    let tools: Vec<Object<Tool<'_>>> = json::read_part(tools.get(), "tools")?;
    if tools.len() > MAX_TOOLS {
        return invalid("tools", format!("`tools` may hold at most {MAX_TOOLS} tools."));
    }
    for (at, Object(tool)) in tools.iter().enumerate() {
        match (tool.kind.as_str(), &tool.function) {
            ("function", Some(_)) => {}
            ("function", None) => {
                let param = format!("tools[{at}].function");
                return invalid(&param, format!("`{param}` is missing."));
            }
            // The upstream's own; it checks them itself.
            ("web_search" | "retrieval" | "mcp", _) => {}
            _ => {
                let why = "the upstream takes tools of type \"function\"";
                return unsupported(&format!("tools[{at}].type"), why);
            }
        }
    }
    check_names("tools", ".function", tools.iter().filter_map(|tool| tool.0.function.as_ref()))
}

fn check_names<'a>(
    list: &str,
    within: &str,
    functions: impl Iterator<Item = &'a Function<'a>> + Clone,
) -> Result<(), RequestError> {
    for (at, function) in functions.clone().enumerate() {
        if let Some((field, why)) = function.problem() {
            let param = format!("{list}[{at}]{within}.{field}");
            return invalid(&param, format!("`{param}` {why}."));
        }
    }
    if let Some(at) = twice(functions.map(|function| function.name.as_str())) {
        let param = format!("{list}[{at}]{within}.name");
        return invalid(&param, format!("`{param}` is the name of an earlier function, too."));
    }
    Ok(())
}

/// Whether a choice leaves the model no choice.
fn forced(choice: &RawValue, param: &str) -> Result<bool, RequestError> {
    if choice.get().starts_with('{') {
        json::read_part::<Choice>(choice.get(), param)?;
        return Ok(true);
    }
    match choice.get() {
        "\"none\"" | "\"auto\"" => Ok(false),
        "\"required\"" => Ok(true),
        _ => invalid(
            param,
            format!(
                "`{param}` must be \"none\", \"auto\", \"required\" or an object that names a tool."
            ),
        ),
    }
}

fn cannot_force(param: &str, server: Server, list: &str) -> Result<(), RequestError> {
    match server {
        Server::Compatible if param == "tool_choice" => Ok(()),
        Server::WebChat => no_tools(param),
        Server::Official | Server::Compatible => {
            let why = format!(
                "the upstream cannot be held to a tool; send \"auto\", with only that one in `{list}`"
            );
            unsupported(param, &why)
        }
    }
}

fn no_tools<T>(param: &str) -> Result<T, RequestError> {
    unsupported(param, &format!("the zai-web dialect has no tools; {OFFICIAL} call them"))
}

/// An empty list is none.
fn list(json: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
    json.filter(|json| json.get().bytes().filter(|b| !b.is_ascii_whitespace()).ne(*b"[]"))
}
