//! `tool_choice`: a word, one tool, or some of the tools.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use z2api_wire::json::{self, Object};

use super::names::OwnName;
use super::tools::Tools;
use crate::as_chat::{OfFunction, json, need};
use crate::request::{RequestError, invalid, unsupported};

/// Which tool the model is to call.
#[derive(Debug)]
pub(super) enum Choice {
    /// Something that is the same in chat requests, or as wrong there.
    Word(Box<RawValue>),
    /// This one.
    One(OwnName),
    /// The search of the web.
    Search,
    /// Any of these; which of them is another choice.
    Some { mode: Mode, tools: Vec<Allowed> },
}

/// A tool that is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Tool(OwnName),
    Search,
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
        match given.kind.as_str() {
            "allowed_tools" => {
                let mode = need(given.mode, PARAM, "mode")?;
                let tools = need(given.tools, PARAM, "tools")?;
                let named = |(at, Object(tool)): (usize, Object<Given>)| {
                    let place = format!("{PARAM}.tools[{at}]");
                    named(&tool.kind, tool.namespace, tool.name, &place)
                };
                let tools = tools.into_iter().enumerate().map(named).collect::<Result<_, _>>()?;
                Ok(Self::Some { mode, tools })
            }
            kind => Ok(match named(kind, given.namespace, given.name, PARAM)? {
                Allowed::Tool(tool) => Self::One(tool),
                Allowed::Search => Self::Search,
            }),
        }
    }

    /// Whether this tool may be offered.
    pub(super) fn allows(&self, tool: &OwnName) -> bool {
        match self {
            Self::Word(_) | Self::One(_) | Self::Search => true,
            Self::Some { tools, .. } => {
                tools.iter().any(|allowed| matches!(allowed, Allowed::Tool(name) if name == tool))
            }
        }
    }

    /// Whether the web may be searched.
    pub(super) fn allows_search(&self) -> bool {
        match self {
            Self::Word(word) => word.get() != "\"none\"",
            Self::One(_) | Self::Search => true,
            Self::Some { tools, .. } => tools.contains(&Allowed::Search),
        }
    }

    /// The choice in the words of chat requests. A search that is asked for is made in any case: it
    /// leaves no choice.
    pub(super) fn in_chat(&self, given: &Tools) -> Result<Option<Box<RawValue>>, RequestError> {
        #[derive(Serialize)]
        struct Name<'a> {
            name: &'a str,
        }
        let unknown = |place: &str| invalid(place, format!("`{place}` names none of the `tools`."));
        Ok(Some(match self {
            Self::Word(word) if word.get() == "\"required\"" && given.only_searches() => {
                return Ok(None);
            }
            Self::Word(word) => word.clone(),
            Self::Search if given.searches => return Ok(None),
            Self::Search => return unknown("tool_choice"),
            Self::One(tool) => match given.names.offered(tool) {
                Some(name) => json(&OfFunction::new(Name { name })),
                None => return unknown("tool_choice"),
            },
            Self::Some { mode, tools } => {
                let is_given = |tool: &Allowed| match tool {
                    Allowed::Tool(tool) => given.names.offered(tool).is_some(),
                    Allowed::Search => given.searches,
                };
                if let Some(at) = tools.iter().position(|tool| !is_given(tool)) {
                    return unknown(&format!("tool_choice.tools[{at}]"));
                }
                if *mode == Mode::Required && given.only_searches() {
                    return Ok(None);
                }
                json(mode)
            }
        }))
    }
}

fn named(
    kind: &str,
    namespace: Option<String>,
    name: Option<String>,
    place: &str,
) -> Result<Allowed, RequestError> {
    match kind {
        "function" | "custom" => {
            let name = need(name, place, "name")?;
            Ok(Allowed::Tool(OwnName { namespace, name }))
        }
        kind if kind.starts_with("web_search") => Ok(Allowed::Search),
        _ => unsupported(place, "the upstream calls tools of the client's only"),
    }
}
