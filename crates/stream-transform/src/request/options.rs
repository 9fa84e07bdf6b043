//! The options of a request: those that make no sense, and those that cannot be honoured.

use z2api_wire::json;
use z2api_wire::openai::request::{ChatRequest, Stop};
use z2api_wire::openai::tools::{ResponseFormat, ResponseKind};

use super::{OFFICIAL, RequestError, Server, invalid, unsupported};

/// OpenAI takes no more.
const MAX_STOP_WORDS: usize = 4;

pub(super) fn check(request: &ChatRequest, server: Server) -> Result<(), RequestError> {
    if request.messages.is_empty() {
        return invalid("messages", "`messages` must hold at least one message.".to_owned());
    }
    check_count(request)?;
    check_numbers(request)?;
    check_stop(request.stop.as_ref())?;
    check_modalities(request)?;
    check_format(request, server)
}

fn check_count(request: &ChatRequest) -> Result<(), RequestError> {
    match request.n {
        None | Some(1) => {}
        Some(0) => return invalid("n", "`n` must be 1.".to_owned()),
        Some(_) => {
            let why = "the upstream gives one answer; send several requests instead";
            return unsupported("n", why);
        }
    }
    let why = "the upstream does not tell probabilities; leave it out";
    if request.logprobs.unwrap_or(false) {
        return unsupported("logprobs", why);
    }
    if request.top_logprobs.unwrap_or(0) > 0 {
        return unsupported("top_logprobs", why);
    }
    Ok(())
}

fn check_numbers(request: &ChatRequest) -> Result<(), RequestError> {
    for (param, value, most) in
        [("temperature", request.temperature, 2.0), ("top_p", request.top_p, 1.0)]
    {
        if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
            return invalid(param, format!("`{param}` must be between 0 and {most}."));
        }
    }
    for (param, value) in [
        ("max_tokens", request.max_tokens),
        ("max_completion_tokens", request.max_completion_tokens),
    ] {
        if value == Some(0) {
            let why = format!("`{param}` must be at least 1; leave it out for no limit.");
            return invalid(param, why);
        }
    }
    Ok(())
}

fn check_stop(stop: Option<&Stop>) -> Result<(), RequestError> {
    let words = match stop {
        None => return Ok(()),
        Some(Stop::One(word)) => std::slice::from_ref(word),
        Some(Stop::Many(words)) => words,
    };
    if words.len() > MAX_STOP_WORDS {
        return invalid("stop", format!("`stop` may hold at most {MAX_STOP_WORDS} stop words."));
    }
    if words.iter().any(String::is_empty) {
        return invalid("stop", "`stop` must not hold an empty stop word.".to_owned());
    }
    Ok(())
}

fn check_modalities(request: &ChatRequest) -> Result<(), RequestError> {
    let other = |kinds: &Vec<String>| kinds.iter().any(|kind| kind != "text");
    if request.modalities.as_ref().is_some_and(other) {
        let why = "the upstream answers in text only; ask for [\"text\"] or leave it out";
        return unsupported("modalities", why);
    }
    Ok(())
}

fn check_format(request: &ChatRequest, server: Server) -> Result<(), RequestError> {
    const PARAM: &str = "response_format";
    let Some(format) = &request.response_format else { return Ok(()) };
    let format: ResponseFormat = json::read_part(format.get(), PARAM)?;
    match (format.kind, server) {
        (ResponseKind::Text, _) | (_, Server::Compatible) => Ok(()),
        (ResponseKind::JsonObject, Server::Official) => Ok(()),
        (ResponseKind::JsonObject | ResponseKind::JsonSchema, Server::WebChat) => {
            let why = format!("the zai-web dialect only answers in text; {OFFICIAL} give JSON");
            unsupported(PARAM, &why)
        }
        (ResponseKind::JsonSchema, Server::Official) => {
            let why = "the official API keeps to no JSON schema; ask for \
                       {\"type\": \"json_object\"} and describe the form in a message";
            unsupported(PARAM, why)
        }
    }
}
