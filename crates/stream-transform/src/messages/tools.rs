//! The tools of a request of the Messages API: functions of the client's, and a search of the web.

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::anthropic::request::{Tool, ToolChoice, ToolChoiceKind};

use crate::as_chat::{OfFunction, Offered, json, need, no_such_tool};
use crate::request::{RequestError, unsupported};

/// What is offered, as Chat Completions has it.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub(super) functions: Option<Box<RawValue>>,
    /// Which of the client's tools each function is.
    pub(super) places: Vec<usize>,
    /// Asks for a search.
    pub(super) search: Option<Box<RawValue>>,
    /// What the client calls the search.
    search_name: Option<String>,
}

impl Tools {
    pub(super) fn of(tools: &[Tool]) -> Result<Self, RequestError> {
        let (mut all, mut functions) = (Self::default(), Vec::with_capacity(tools.len()));
        for (at, tool) in tools.iter().enumerate() {
            match tool.kind.as_deref() {
                None | Some("custom") => {
                    all.places.push(at);
                    functions.push(OfFunction::new(Offered {
                        name: &tool.name,
                        description: tool.description.as_deref(),
                        parameters: tool.input_schema.as_deref(),
                        strict: tool.strict,
                    }));
                }
                // What the model of the -Search variant does for all clients.
                Some(kind) if kind.starts_with("web_search_") => {
                    check_search(tool, at)?;
                    all.search = Some(json(&serde_json::Map::new()));
                    all.search_name = Some(tool.name.clone());
                }
                Some(kind) => {
                    let way_out = "; offer what your program does with an `input_schema`";
                    return no_such_tool(&format!("tools[{at}]"), kind, way_out);
                }
            }
        }
        all.functions = (!functions.is_empty()).then(|| json(&functions));
        Ok(all)
    }

    /// The choice among the functions. A search that was asked for is made in any case.
    pub(super) fn choice(&self, choice: ToolChoice) -> Result<Option<Box<RawValue>>, RequestError> {
        #[derive(Serialize)]
        struct Name {
            name: String,
        }
        let only_search = self.search.is_some() && self.functions.is_none();
        Ok(Some(match choice.kind {
            ToolChoiceKind::Any if only_search => return Ok(None),
            ToolChoiceKind::Auto => json(&"auto"),
            ToolChoiceKind::Any => json(&"required"),
            ToolChoiceKind::None => json(&"none"),
            ToolChoiceKind::Tool => {
                let name = need(choice.name, "tool_choice", "name")?;
                if self.search_name.as_ref() == Some(&name) {
                    return Ok(None);
                }
                json(&OfFunction::new(Name { name }))
            }
        }))
    }
}

fn check_search(tool: &Tool, at: usize) -> Result<(), RequestError> {
    for (field, given) in
        [("allowed_domains", &tool.allowed_domains), ("blocked_domains", &tool.blocked_domains)]
    {
        if given.is_some() {
            let why = "where the upstream searches cannot be chosen; say it in words";
            return unsupported(&format!("tools[{at}].{field}"), why);
        }
    }
    Ok(())
}
