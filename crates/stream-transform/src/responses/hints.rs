//! What a request of the Responses API would like, and what the chat request has no field for.

use z2api_wire::openai::responses::{ResponsesRequest, Truncation};

use super::frame::ENCRYPTED;
use crate::request::{RequestError, invalid, unsupported};

/// What may be asked for besides: it is about tools of OpenAI's own, and repeats of the request.
const INCLUDED: [(&str, &str); 6] = [
    ("code_interpreter_call.outputs", "include.code_interpreter_call.outputs"),
    ("computer_call_output.output.image_url", "include.computer_call_output.output.image_url"),
    ("file_search_call.results", "include.file_search_call.results"),
    ("message.input_image.image_url", "include.message.input_image.image_url"),
    ("web_search_call.action.sources", "include.web_search_call.action.sources"),
    ("web_search_call.results", "include.web_search_call.results"),
];

/// The names of what is left out. A field at its default asks for nothing.
pub(super) fn dropped(request: &ResponsesRequest) -> Result<Vec<&'static str>, RequestError> {
    let reasoning = request.reasoning.as_ref();
    let word = |word: Option<&String>, usual: &str| word.is_some_and(|word| word != usual);
    let fields = [
        ("context_management", request.context_management.is_some()),
        ("max_tool_calls", request.max_tool_calls.is_some()),
        ("prompt_cache_options", request.prompt_cache_options.is_some()),
        ("reasoning.context", word(reasoning.and_then(|asked| asked.context.as_ref()), "auto")),
        ("reasoning.mode", word(reasoning.and_then(|asked| asked.mode.as_ref()), "standard")),
        ("truncation", request.truncation == Some(Truncation::Auto)),
    ];
    let mut dropped = Vec::new();
    for (at, entry) in request.include.iter().flatten().enumerate() {
        dropped.extend(left_out(entry, &format!("include[{at}]"))?);
    }
    dropped.extend(fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name));
    Ok(dropped)
}

/// The name of an entry of `include` that is left out.
fn left_out(entry: &str, place: &str) -> Result<Option<&'static str>, RequestError> {
    if entry == ENCRYPTED {
        return Ok(None);
    }
    if entry == "message.output_text.logprobs" {
        return unsupported(place, "the upstream does not tell probabilities; leave it out");
    }
    match INCLUDED.iter().find(|(known, _)| *known == entry) {
        Some((_, name)) => Ok(Some(name)),
        None => invalid(place, format!("`{place}` is nothing that can be included.")),
    }
}
