//! The client's tools, as functions.
//!
//! Functions stay what they are. The name of a namespace comes before the names of its tools. A
//! custom tool becomes a function that takes its text as `input`. A search of the web is no function:
//! chat requests ask for it beside them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::json::{self, Object};
use z2api_wire::openai::responses::{Tool, ToolFormat};
use z2api_wire::openai::tools::Function;

use super::choice::Choice;
use super::names::{Form, OwnName, ToolNames};
use crate::as_chat::{OfFunction, json, need, no_such_tool};
use crate::request::{RequestError, invalid, unsupported};

/// What a function takes in place of free text.
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"All of the input, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// As chat requests have them; None if there are none.
    pub(super) functions: Option<Box<RawValue>>,
    pub(super) names: ToolNames,
    /// Whether a search of the web is among them.
    pub(super) searches: bool,
    /// What was left out.
    pub(super) dropped: Vec<&'static str>,
}

impl Tools {
    /// Whether a search is all that is offered.
    pub(super) fn only_searches(&self) -> bool {
        self.searches && self.functions.is_none()
    }
}

/// A tool and its place in the request.
struct Placed<'a> {
    place: String,
    tool: &'a Tool<'a>,
    /// What it is in, and whether it is the first there.
    namespace: Option<(&'a Tool<'a>, bool)>,
}

#[derive(Serialize)]
struct Offered<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Reads `tools`, and offers those that `choice` allows.
pub(super) fn tools(
    given: Option<&RawValue>,
    choice: Option<&Choice>,
) -> Result<Tools, RequestError> {
    let mut tools = Tools::default();
    let Some(given) = given else { return Ok(tools) };
    let given: Vec<Object<Tool<'_>>> = json::read_part(given.get(), "tools")?;
    let mut placed = flattened(&given, &mut tools)?;
    // A tool without a namespace keeps its name, wherever it stands.
    placed.sort_by_key(|placed| placed.namespace.is_some());
    let mut functions = Vec::with_capacity(placed.len());
    for placed in &placed {
        let tool = placed.own_name()?;
        let offered = choice.is_none_or(|choice| choice.allows(&tool));
        let function = placed.function(tool, &mut tools)?;
        functions.extend(offered.then(|| OfFunction::new(function)));
    }
    tools.functions = (!functions.is_empty()).then(|| json(&functions));
    Ok(tools)
}

/// The tools, and those of each namespace in its place.
fn flattened<'a>(
    given: &'a [Object<Tool<'a>>],
    tools: &mut Tools,
) -> Result<Vec<Placed<'a>>, RequestError> {
    let mut all = Vec::with_capacity(given.len());
    for (at, Object(tool)) in given.iter().enumerate() {
        let place = format!("tools[{at}]");
        match tool.kind.as_str() {
            "function" | "custom" => all.push(Placed { place, tool, namespace: None }),
            "namespace" => {
                for (within, Object(inner)) in tool.tools.iter().flatten().enumerate() {
                    let place = format!("{place}.tools[{within}]");
                    all.push(Placed { place, tool: inner, namespace: Some((tool, within == 0)) });
                }
            }
            // Of an index that is OpenAI's: it is only offered beside the rest, and may be missing.
            "web_search" if tool.external_web_access == Some(false) => {
                tools.dropped.push("tools.web_search");
            }
            // What the model of the -Search variant does.
            kind if kind.starts_with("web_search") => add_search(tool, &place, tools)?,
            kind => return no_such_tool(&place, kind, ""),
        }
    }
    Ok(all)
}

fn add_search(tool: &Tool<'_>, place: &str, tools: &mut Tools) -> Result<(), RequestError> {
    if tool.filters.is_some() {
        let why = "where the upstream searches cannot be chosen; say it in words";
        return unsupported(&format!("{place}.filters"), why);
    }
    for (name, given) in [
        ("tools.search_context_size", tool.search_context_size.is_some()),
        ("tools.user_location", tool.user_location.is_some()),
    ] {
        if given {
            tools.dropped.push(name);
        }
    }
    tools.searches = true;
    Ok(())
}

impl<'a> Placed<'a> {
    fn own_name(&self) -> Result<OwnName, RequestError> {
        let name = need(self.tool.name.clone(), &self.place, "name")?;
        if name.is_empty() {
            let param = format!("{}.name", self.place);
            return invalid(&param, format!("`{param}` must not be empty."));
        }
        let namespace = match self.namespace {
            Some((namespace, _)) => {
                let (outer, _) = self.place.rsplit_once('.').unwrap_or_default();
                Some(need(namespace.name.clone(), outer, "name")?)
            }
            None => None,
        };
        Ok(OwnName { namespace, name })
    }

    fn function(&self, own: OwnName, tools: &mut Tools) -> Result<Offered<'a>, RequestError> {
        let tool = self.tool;
        let form = match tool.kind.as_str() {
            "function" => Form::Function,
            "custom" => Form::Custom,
            kind => return no_such_tool(&self.place, kind, ""),
        };
        let Some(name) = tools.names.add(own, form) else {
            let param = format!("{}.name", self.place);
            return invalid(&param, format!("`{param}` is the name of an earlier tool, too."));
        };
        let parameters = match form {
            Form::Function => tool.parameters,
            Form::Custom => Some(serde_json::from_str(FREE_TEXT).expect("it is JSON")),
        };
        let function = Function { name, description: None, parameters, strict: tool.strict };
        if let Some((field, why)) = function.problem() {
            let param = format!("{}.{field}", self.place);
            return invalid(&param, format!("`{param}` {why}."));
        }
        let Function { name, parameters, strict, .. } = function;
        Ok(Offered { name, description: self.description(tools), parameters, strict })
    }

    /// The tool's own words, and those that have no other place: about its namespace, in the first
    /// tool there, and about the form of a free text.
    fn description(&self, tools: &mut Tools) -> Option<Cow<'a, str>> {
        let mut added = Vec::new();
        if let Some(ToolFormat { syntax: Some(syntax), definition: Some(definition), .. }) =
            &self.tool.format
        {
            // The model is told; nobody holds it to it.
            tools.dropped.push("tools.format");
            added.push(format!("The input must follow this grammar ({syntax}):\n{definition}"));
        }
        if let Some((Tool { name: Some(name), description: Some(about), .. }, true)) =
            self.namespace
            && !about.is_empty()
        {
            added.push(format!("About all tools of {name}: {about}"));
        }
        let own = self.tool.description.as_deref();
        if added.is_empty() {
            return own.map(Cow::Borrowed);
        }
        let parts = own.into_iter().chain(added.iter().map(String::as_str));
        Some(Cow::Owned(parts.collect::<Vec<_>>().join("\n\n")))
    }
}
