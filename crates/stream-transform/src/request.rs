//! What a client asks, as what the upstream is asked.
//!
//! What changes the meaning of the answer and cannot be honoured is refused by name, with the way
//! out. What is only a hint is left out.

use serde_json::value::RawValue;
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;
use z2api_wire::openai::request::{
    ChatRequest, Content, Message, Part, Role, Stop, Thinking, ThinkingKind,
};

use crate::models::{Model, ModelTable};

const OFFICIAL: &str = "the official API can (set UPSTREAM_URL to it)";

/// Why a request cannot be asked of the upstream. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No model of this name.
    #[error("The model `{0}` does not exist. GET /v1/models lists those that do.")]
    UnknownModel(String),
    /// A field whose value makes no sense.
    #[error("{why}")]
    Invalid {
        /// The field.
        param: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field that this upstream cannot honour.
    #[error("`{param}` cannot be honoured: {why}.")]
    Unsupported {
        /// The field.
        param: String,
        /// Why not, and the way out.
        why: String,
    },
}

/// Writes the client's request in the upstream's terms.
///
/// # Errors
/// [`RequestError`] for an unknown model, and for what would change the meaning of the answer.
pub fn chat_of(
    request: ChatRequest,
    models: &ModelTable,
    dialect: Dialect,
) -> Result<Chat, RequestError> {
    let model = models
        .get(&request.model)
        .ok_or_else(|| RequestError::UnknownModel(request.model.chars().take(100).collect()))?;
    check_options(&request)?;
    if dialect == Dialect::ZaiWeb {
        check_web(&request)?;
    }
    let messages = messages_of(request.messages, model, dialect)?;
    Ok(Chat {
        model: model.upstream_id(dialect).to_owned(),
        messages,
        thinking: thinks(model, request.thinking),
        clear_thinking: request.thinking.and_then(|thinking| thinking.clear_thinking),
        reasoning_effort: request.reasoning_effort,
        search: model.search,
        mcp_servers: model.mcp_servers.clone(),
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        stop: request.stop.map(Stop::into_words).unwrap_or_default(),
        tools: request.tools,
        tool_choice: request.tool_choice,
        response_format: request.response_format,
        user: request.user,
    })
}

/// A model that can do either does as the request says, and otherwise as its name says.
fn thinks(model: &Model, asked: Option<Thinking>) -> bool {
    match asked {
        Some(asked) if model.thinking_is_optional => asked.kind == ThinkingKind::Enabled,
        Some(_) | None => model.thinking,
    }
}

fn check_options(request: &ChatRequest) -> Result<(), RequestError> {
    if request.n.unwrap_or(1) != 1 {
        return unsupported("n", "the upstream gives one answer; send several requests instead");
    }
    if request.logprobs.unwrap_or(false) {
        return unsupported("logprobs", "the upstream does not tell them; leave it out");
    }
    for (param, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
        if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
            return invalid(param, format!("`{param}` must not be negative."));
        }
    }
    if let Some(stop) = &request.stop {
        let words = match stop {
            Stop::One(word) => std::slice::from_ref(word),
            Stop::Many(words) => words,
        };
        if words.iter().any(String::is_empty) {
            return invalid("stop", "A stop word must not be empty.".to_owned());
        }
    }
    if request.messages.is_empty() {
        return invalid("messages", "`messages` must hold at least one message.".to_owned());
    }
    Ok(())
}

/// What the web chat's protocol has no place for.
fn check_web(request: &ChatRequest) -> Result<(), RequestError> {
    let given = |value: &Option<Box<RawValue>>, harmless: &[&str]| {
        value.as_ref().is_some_and(|value| !harmless.contains(&squeezed(value).as_str()))
    };
    if given(&request.tools, &["null", "[]"]) {
        return unsupported("tools", &format!("the zai-web dialect has no tools; {OFFICIAL}"));
    }
    if given(&request.tool_choice, &["null", "\"none\"", "\"auto\""]) {
        return unsupported(
            "tool_choice",
            &format!("the zai-web dialect has no tools; {OFFICIAL}"),
        );
    }
    if given(&request.response_format, &["null", "{\"type\":\"text\"}"]) {
        let why = format!("the zai-web dialect only answers in text; {OFFICIAL}");
        return unsupported("response_format", &why);
    }
    Ok(())
}

fn messages_of(
    mut messages: Vec<Message>,
    model: &Model,
    dialect: Dialect,
) -> Result<Vec<Message>, RequestError> {
    for (at, message) in messages.iter_mut().enumerate() {
        let calls = message.tool_calls.as_ref().is_some_and(|calls| squeezed(calls) != "[]");
        let tool_turn = calls || matches!(message.role, Role::Tool | Role::Function);
        if tool_turn && dialect == Dialect::ZaiWeb {
            let why = format!("the zai-web dialect has no tools; {OFFICIAL}");
            return unsupported(&format!("messages[{at}]"), &why);
        }
        if message.content.is_none() && !(message.role == Role::Assistant && calls) {
            let param = format!("messages[{at}].content");
            return invalid(&param, format!("`{param}` is missing."));
        }
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        if let Some(Content::Parts(parts)) = &mut message.content {
            for (index, part) in parts.iter_mut().enumerate() {
                let param = format!("messages[{at}].content[{index}]");
                check_part(part, &param, model, dialect)?;
            }
        }
    }
    Ok(messages)
}

fn check_part(
    part: &mut Part,
    param: &str,
    model: &Model,
    dialect: Dialect,
) -> Result<(), RequestError> {
    match part {
        Part::Text { .. } => Ok(()),
        // The upstream has no such part; its words are what the model said.
        Part::Refusal { refusal } => {
            *part = Part::Text { text: std::mem::take(refusal) };
            Ok(())
        }
        Part::ImageUrl { .. } | Part::VideoUrl { .. } | Part::FileUrl { .. } if !model.vision => {
            let why = format!("{} reads text only; ask a model with V in its name", model.name);
            unsupported(param, &why)
        }
        // Whether the token may send one is known only once it is taken.
        Part::ImageUrl { .. } => Ok(()),
        Part::VideoUrl { .. } | Part::FileUrl { .. } => match dialect {
            Dialect::ZaiWeb => {
                let why = format!("the zai-web dialect takes images, no other media; {OFFICIAL}");
                unsupported(param, &why)
            }
            Dialect::OpenAi => Ok(()),
        },
    }
}

/// JSON without its white space, to compare with a few harmless values.
fn squeezed(json: &RawValue) -> String {
    json.get().chars().take(64).filter(|c| !c.is_whitespace()).collect()
}

pub(crate) fn unsupported<T>(param: &str, why: &str) -> Result<T, RequestError> {
    Err(RequestError::Unsupported { param: param.to_owned(), why: why.to_owned() })
}

pub(crate) fn invalid<T>(param: &str, why: String) -> Result<T, RequestError> {
    Err(RequestError::Invalid { param: param.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(fields: &str, dialect: Dialect) -> Result<Chat, RequestError> {
        let json = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{fields}}}"#);
        let request = serde_json::from_str(&json).expect("a request");
        chat_of(request, &ModelTable::built_in(), dialect)
    }

    fn refused_param(fields: &str, dialect: Dialect) -> Option<String> {
        match ask(fields, dialect).expect_err("a refusal") {
            RequestError::Invalid { param, .. } | RequestError::Unsupported { param, .. } => {
                Some(param)
            }
            RequestError::UnknownModel(_) => None,
        }
    }

    #[test]
    fn the_model_table_says_what_is_asked() {
        let chat = ask(r#""model":"GLM-4.5-Search""#, Dialect::ZaiWeb).unwrap();
        assert_eq!(chat.model, "0727-360B-API");
        assert!(chat.thinking && chat.search);
        let chat = ask(r#""model":"glm-4.5-thinking""#, Dialect::OpenAi).unwrap();
        assert_eq!((chat.model.as_str(), chat.thinking), ("glm-4.5", true));
    }

    #[test]
    fn a_request_can_switch_the_thinking_of_a_model_that_can_do_either() {
        let thinks = |model: &str, kind: &str| {
            let fields = format!(r#""model":"{model}","thinking":{{"type":"{kind}"}}"#);
            ask(&fields, Dialect::OpenAi).unwrap().thinking
        };
        assert!(thinks("GLM-4.5", "enabled") && !thinks("GLM-4.5-Thinking", "disabled"));
        assert!(thinks("Z1-32B", "disabled"), "it always thinks");
        assert!(!thinks("GLM-4-32B", "enabled"), "it never does");
    }

    #[test]
    fn how_to_think_is_handed_on() {
        let thinking = r#""thinking":{"type":"enabled","clear_thinking":false}"#;
        let fields = format!(r#""model":"GLM-4.5",{thinking},"reasoning_effort":"high""#);
        let chat = ask(&fields, Dialect::OpenAi).unwrap();
        assert_eq!(
            (chat.clear_thinking, chat.reasoning_effort.as_deref()),
            (Some(false), Some("high"))
        );
    }

    #[test]
    fn the_newer_name_of_the_token_limit_wins() {
        let fields = r#""model":"GLM-4.5","max_tokens":5,"max_completion_tokens":7"#;
        assert_eq!(ask(fields, Dialect::OpenAi).unwrap().max_tokens, Some(7));
    }

    #[test]
    fn an_unknown_model_is_refused() {
        let refused = ask(r#""model":"gpt-4""#, Dialect::OpenAi).unwrap_err();
        assert_eq!(refused, RequestError::UnknownModel("gpt-4".into()));
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name() {
        let check = |fields: &str, dialect, param: &str| {
            let fields = format!(r#""model":"GLM-4.5",{fields}"#);
            assert_eq!(refused_param(&fields, dialect).as_deref(), Some(param), "{fields}");
        };
        check(r#""n":2"#, Dialect::OpenAi, "n");
        check(r#""logprobs":true"#, Dialect::OpenAi, "logprobs");
        check(r#""temperature":-1"#, Dialect::OpenAi, "temperature");
        check(r#""tools":[{"type":"function"}]"#, Dialect::ZaiWeb, "tools");
        check(r#""response_format":{"type":"json_object"}"#, Dialect::ZaiWeb, "response_format");
        check(r#""stop":["a",""]"#, Dialect::OpenAi, "stop");
    }

    #[test]
    fn harmless_values_of_what_is_missing_pass() {
        let fields = r#""model":"GLM-4.5","tools":[],"tool_choice":"auto",
            "response_format":{ "type": "text" },"n":1,"logprobs":false"#;
        assert!(ask(fields, Dialect::ZaiWeb).is_ok());
    }

    #[test]
    fn developers_speak_as_the_system() {
        let json = r#"{"model":"GLM-4.5","messages":[{"role":"developer","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#;
        let request = serde_json::from_str(json).unwrap();
        let chat = chat_of(request, &ModelTable::built_in(), Dialect::ZaiWeb).unwrap();
        assert_eq!(chat.messages[0].role, Role::System);
        let parts = serde_json::to_string(&chat.messages[1]).unwrap();
        assert!(parts.contains(r#""text":"a"#) && parts.contains(r#""text":"b"#));
    }
}
