//! The conversation, in the words that upstreams know.

use serde_json::value::{RawValue, to_raw_value};
use z2api_wire::json::{self, Object};
use z2api_wire::openai::request::{Content, Message, Part, Role};
use z2api_wire::openai::tools::{Call, Called};

use super::{OFFICIAL, RequestError, Server, invalid, unsupported};
use crate::models::Model;

pub(super) fn of(
    mut messages: Vec<Message>,
    model: &Model,
    server: Server,
) -> Result<Vec<Message>, RequestError> {
    let mut calls = OldCalls::default();
    for (at, message) in messages.iter_mut().enumerate() {
        let path = format!("messages[{at}]");
        calls.modernise(message, at, &path)?;
        check_tool_turn(message, &path, server)?;
        settle_content(message, &path)?;
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        if let Some(Content::Parts(parts)) = &mut message.content {
            if parts.is_empty() {
                let param = format!("{path}.content");
                return invalid(&param, format!("`{param}` must hold at least one part."));
            }
            for (index, part) in parts.iter_mut().enumerate() {
                check_part(part, &format!("{path}.content[{index}]"), model, server)?;
            }
        }
        if server == Server::WebChat {
            // The web page knows turns of role and content.
            (message.name, message.reasoning_content) = (None, None);
        }
    }
    Ok(messages)
}

/// Calls in OpenAI's oldest form have no ids; these are made up, each after its turn.
#[derive(Default)]
struct OldCalls {
    last: Option<String>,
}

impl OldCalls {
    /// Writes `function_call` as `tool_calls`, and the function's turn as the tool's.
    fn modernise(
        &mut self,
        message: &mut Message,
        at: usize,
        path: &str,
    ) -> Result<(), RequestError> {
        if let Some(call) = message.function_call.take()
            && message.tool_calls.is_none()
        {
            let called: Called = json::read_part(call.get(), &format!("{path}.function_call"))?;
            let id = format!("call_{at}");
            let call = Written { id: &id, kind: "function", function: called };
            message.tool_calls = Some(to_raw_value(&[call]).expect("a call is JSON"));
            self.last = Some(id);
        }
        if message.role == Role::Function {
            let Some(id) = self.last.clone() else {
                let why = format!("`{path}` answers no `function_call` of an earlier turn.");
                return invalid(&format!("{path}.role"), why);
            };
            message.role = Role::Tool;
            message.tool_call_id = Some(id);
            message.name = None;
        }
        Ok(())
    }
}

#[derive(serde::Serialize)]
struct Written<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Called,
}

fn check_tool_turn(message: &mut Message, path: &str, server: Server) -> Result<(), RequestError> {
    let is_empty =
        |calls: &RawValue| calls.get().bytes().filter(|b| !b.is_ascii_whitespace()).eq(*b"[]");
    message.tool_calls.take_if(|calls| is_empty(calls));
    let tool_turn = message.tool_calls.is_some() || message.role == Role::Tool;
    if tool_turn && server == Server::WebChat {
        let why = format!("the zai-web dialect has no tools; {OFFICIAL} take them");
        return match message.tool_calls {
            Some(_) => unsupported(&format!("{path}.tool_calls"), &why),
            None => unsupported(path, &why),
        };
    }
    if message.role == Role::Tool && message.tool_call_id.is_none() {
        let param = format!("{path}.tool_call_id");
        return invalid(
            &param,
            format!("`{param}` is missing: it names the call that is answered."),
        );
    }
    let Some(calls) = &message.tool_calls else { return Ok(()) };
    let param = format!("{path}.tool_calls");
    if message.role != Role::Assistant {
        return invalid(&param, format!("`{param}` belongs in a turn of the assistant."));
    }
    let calls: Vec<Object<Call>> = json::read_part(calls.get(), &param)?;
    let other = |call: &Object<Call>| call.0.kind.as_deref().is_some_and(|kind| kind != "function");
    if let Some(index) = calls.iter().position(other) {
        let why = "the upstream takes calls of type \"function\"";
        return unsupported(&format!("{param}[{index}].type"), why);
    }
    Ok(())
}

/// Every turn has content, except for one of the assistant that calls tools.
fn settle_content(message: &mut Message, path: &str) -> Result<(), RequestError> {
    if message.content.is_some() || message.tool_calls.is_some() {
        return Ok(());
    }
    let assistant = message.role == Role::Assistant;
    if assistant && message.audio.is_some() {
        let why = "the upstream takes text only; send what was said as `content`";
        return unsupported(&format!("{path}.audio"), why);
    }
    message.content = match message.refusal.take() {
        // The upstream has no such field; its words are what the model said.
        Some(refusal) if assistant => Some(Content::Text(refusal)),
        // An answer that was thought about and not given.
        _ if assistant && message.reasoning_content.is_some() => Some(Content::Text(String::new())),
        _ => {
            let param = format!("{path}.content");
            return invalid(&param, format!("`{param}` is missing."));
        }
    };
    Ok(())
}

fn check_part(
    part: &mut Part,
    param: &str,
    model: &Model,
    server: Server,
) -> Result<(), RequestError> {
    let medium = match part {
        Part::Text { .. } => return Ok(()),
        Part::Refusal { refusal } => {
            *part = Part::Text { text: std::mem::take(refusal) };
            return Ok(());
        }
        Part::ImageUrl { .. } => "images",
        Part::VideoUrl { .. } | Part::FileUrl { .. } if server == Server::WebChat => {
            let why =
                format!("the zai-web dialect takes images, no other media; {OFFICIAL} take them");
            return unsupported(param, &why);
        }
        Part::VideoUrl { .. } => "videos",
        Part::FileUrl { .. } => "files",
    };
    if model.vision {
        return Ok(());
    }
    let why = format!("{} reads text, and no {medium}; ask a model with V in its name", model.name);
    unsupported(param, &why)
}
