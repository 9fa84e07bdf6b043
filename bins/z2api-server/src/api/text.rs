//! `POST /v1/completions`: text completions, for clients of OpenAI's older API.

use serde_json::value::RawValue;
use z2api_stream_transform::{AnswerId, Folded, TextChunks, text_completion};
use z2api_wire::json;
use z2api_wire::names::{Names, Origin};
use z2api_wire::openai::completion::TextRequest;
use z2api_wire::openai::request::{ChatRequest, Message};

use crate::api::{Api, Asker};
use crate::error::ApiError;

/// The prompt is asked as a user's turn.
pub(crate) struct TextCompletions {
    include_usage: bool,
}

impl Api for TextCompletions {
    type Request = TextRequest;
    type Encoder = TextChunks;
    const ID_PREFIX: &'static str = "cmpl-";

    fn read(request: TextRequest, _: &mut Asker<'_>) -> Result<(ChatRequest, Self), ApiError> {
        chat_of(request)
    }

    fn encoder(self, id: &AnswerId) -> TextChunks {
        TextChunks::new(id, self.include_usage)
    }

    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError> {
        Ok(text_completion(answer, id))
    }
}

/// The request in the words of Chat Completions.
fn chat_of(request: TextRequest) -> Result<(ChatRequest, TextCompletions), ApiError> {
    check(&request)?;
    let prompt = prompt_of(&request)?;
    let include_usage = request.stream_options.and_then(|options| options.include_usage);
    let chat = ChatRequest {
        model: request.model,
        messages: vec![Message::user(prompt)],
        n: request.n,
        stream: request.stream,
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_tokens,
        stop: request.stop,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        logit_bias: request.logit_bias,
        seed: request.seed,
        user: request.user,
        reasoning_format: request.reasoning_format,
        names: Names { origins: vec![Origin::at("prompt")], ..Names::default() },
        ..ChatRequest::default()
    };
    Ok((chat, TextCompletions { include_usage: include_usage.unwrap_or(false) }))
}

/// What a chat model cannot do.
fn check(request: &TextRequest) -> Result<(), ApiError> {
    let unsupported = |param, why| Err(ApiError::unsupported(param, why));
    if request.echo.unwrap_or(false) {
        return unsupported(
            "echo",
            "the prompt is not repeated; put it before the answer yourself",
        );
    }
    if request.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty()) {
        return unsupported(
            "suffix",
            "the upstream writes no text to go between; ask for it in the prompt",
        );
    }
    if request.best_of.unwrap_or(1) > 1 {
        return unsupported(
            "best_of",
            "the upstream gives one answer; send several requests instead",
        );
    }
    if request.logprobs.is_some() {
        return unsupported("logprobs", "the upstream does not tell probabilities; leave it out");
    }
    Ok(())
}

fn prompt_of(request: &TextRequest) -> Result<String, ApiError> {
    let unsupported = |why| Err(ApiError::unsupported("prompt", why));
    let Some(prompt) = &request.prompt else {
        return Err(ApiError::invalid(Some("prompt"), "`prompt` is missing."));
    };
    if prompt.get().starts_with('"') {
        return Ok(json::read_part(prompt.get(), "prompt")?);
    }
    let prompts: Vec<&RawValue> = json::read_part(prompt.get(), "prompt")?;
    let is_text = |prompt: &&RawValue| prompt.get().starts_with('"');
    match prompts.as_slice() {
        [] => Err(ApiError::invalid(Some("prompt"), "`prompt` must hold a prompt.")),
        [prompt] if is_text(prompt) => Ok(json::read_part(prompt.get(), "prompt[0]")?),
        prompts if prompts.iter().all(is_text) => {
            unsupported("the upstream answers one prompt at a time; send several requests instead")
        }
        _ => unsupported("the upstream takes text, and no tokens; send the prompt as a string"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(fields: &str, param: &str) {
        let request = json::read(format!(r#"{{"model":"m",{fields}}}"#).as_bytes()).unwrap();
        let error = chat_of(request).err().expect(fields);
        assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
    }

    #[test]
    fn what_a_chat_model_cannot_do_is_refused_by_name() {
        for (field, param) in [
            (r#""echo":true"#, "echo"),
            (r#""suffix":"x""#, "suffix"),
            (r#""best_of":2"#, "best_of"),
            (r#""logprobs":0"#, "logprobs"),
        ] {
            check_refused(&format!(r#""prompt":"a",{field}"#), param);
        }
        for prompt in ["null", "[]", r#"["a","b"]"#, "[1,2]", "[[1],[2]]", "5", "[null]"] {
            check_refused(&format!(r#""prompt":{prompt}"#), "prompt");
        }
    }

    #[test]
    fn a_prompt_is_a_string_or_one_in_an_array() {
        for prompt in [r#""a\n""#, r#"["a\n"]"#] {
            let fields = format!(r#"{{"model":"m","prompt":{prompt},"echo":false,"suffix":""}}"#);
            let request = json::read(fields.as_bytes()).unwrap();
            let (chat, _) = chat_of(request).ok().unwrap();
            let turns = serde_json::to_string(&chat.messages).unwrap();
            assert_eq!(turns, r#"[{"role":"user","content":"a\n"}]"#);
        }
    }
}
