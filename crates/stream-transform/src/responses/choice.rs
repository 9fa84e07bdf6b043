//! `tool_choice`: a word, one tool, or some of the tools.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use z2api_wire::json::{self, Object};

use super::names::{OwnName, ToolNames};
use crate::as_chat::{OfFunction, json};
use crate::request::{RequestError, invalid, unsupported};

/// Which tool the model is to call.
#[derive(Debug)]
pub(super) enum Choice {
    /// Something that is the same in chat requests, or as wrong there.
    Word(Box<RawValue>),
    /// This one.
    One(OwnName),
    /// Any of these; which of them is another choice.
    Some { mode: Mode, tools: Vec<OwnName> },
}

/// Whether one of the allowed tools must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Auto,
    Required,
}

#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    mode: Option<Mode>,
    tools: Option<Vec<Object<Given>>>,
}

impl Choice {
    pub(super) fn read(given: &RawValue) -> Result<Self, RequestError> {
        const PARAM: &str = "tool_choice";
        if !given.get().starts_with('{') {
            return Ok(Self::Word(given.to_owned()));
        }
        let given: Given = json::read_part(given.get(), PARAM)?;
        match (given.kind.as_str(), given.mode, given.tools) {
            ("allowed_tools", Some(mode), Some(tools)) => {
                let named = |(at, Object(tool)): (usize, Object<Given>)| {
                    let place = format!("{PARAM}.tools[{at}]");
                    named(&tool.kind, tool.namespace, tool.name, &place)
                };
                let tools = tools.into_iter().enumerate().map(named).collect::<Result<_, _>>()?;
                Ok(Self::Some { mode, tools })
            }
            ("allowed_tools", None, _) => missing("tool_choice.mode"),
            ("allowed_tools", _, None) => missing("tool_choice.tools"),
            (kind, ..) => Ok(Self::One(named(kind, given.namespace, given.name, PARAM)?)),
        }
    }

    /// Whether this tool may be offered.
    pub(super) fn allows(&self, tool: &OwnName) -> bool {
        match self {
            Self::Word(_) | Self::One(_) => true,
            Self::Some { tools, .. } => tools.contains(tool),
        }
    }

    /// The choice in the words of chat requests.
    pub(super) fn in_chat(&self, names: &ToolNames) -> Result<Box<RawValue>, RequestError> {
        #[derive(Serialize)]
        struct Name<'a> {
            name: &'a str,
        }
        let known = |tool: &OwnName, place: &str| match names.offered(tool) {
            Some(name) => Ok(name),
            None => invalid(place, format!("`{place}` names none of the `tools`.")),
        };
        match self {
            Self::Word(word) => Ok(word.clone()),
            Self::One(tool) => {
                let name = known(tool, "tool_choice")?;
                Ok(json(&OfFunction::new(Name { name })))
            }
            Self::Some { mode, tools } => {
                for (at, tool) in tools.iter().enumerate() {
                    known(tool, &format!("tool_choice.tools[{at}]"))?;
                }
                Ok(json(mode))
            }
        }
    }
}

fn named(
    kind: &str,
    namespace: Option<String>,
    name: Option<String>,
    place: &str,
) -> Result<OwnName, RequestError> {
    match (kind, name) {
        ("function" | "custom", Some(name)) => Ok(OwnName { namespace, name }),
        ("function" | "custom", None) => missing(&format!("{place}.name")),
        _ => unsupported(place, "the upstream calls tools of the client's only"),
    }
}

fn missing<T>(param: &str) -> Result<T, RequestError> {
    invalid(param, format!("`{param}` is missing."))
}
