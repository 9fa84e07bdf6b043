//! Chunks of an OpenAI-compatible upstream, as events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Malformed;
use crate::event::{Event, FinishReason, Phase, ReportedUsage, ToolCallDelta};
use crate::fault::Fault;
use crate::openai::search;
use crate::text::Text;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<ReportedUsage>,
    #[serde(default, borrow)]
    web_search: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default, borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(default, borrow)]
    reasoning_content: Option<Text<'a>>,
    /// The same under the name that newer self-hosted servers use.
    #[serde(default, borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(default, borrow)]
    content: Option<Text<'a>>,
    #[serde(default, borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
pub(crate) struct ToolCall<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default, borrow)]
    id: Option<Text<'a>>,
    #[serde(default, borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default, borrow)]
    name: Option<Text<'a>>,
    #[serde(default, borrow)]
    arguments: Option<Text<'a>>,
}

/// Reads the data of one SSE event and hands what it says to `emit`.
///
/// # Errors
/// [`Malformed::NotJson`] if it is neither `[DONE]` nor a chunk.
pub fn decode<'a>(data: &'a str, emit: &mut impl FnMut(Event<'a>)) -> Result<(), Malformed> {
    if data.trim() == "[DONE]" {
        emit(Event::End);
        return Ok(());
    }
    let chunk: Chunk<'a> = serde_json::from_str(data).map_err(|error| Malformed::json(&error))?;
    if let Some(raw) = chunk.error {
        let error: Value = serde_json::from_str(raw.get()).map_err(|e| Malformed::json(&e))?;
        if !error.is_null() {
            emit(Event::Error(Fault::from_error(&error).unwrap_or_default()));
            return Ok(());
        }
    }
    if let Some(found) = chunk.web_search.and_then(search::event_of) {
        emit(found);
    } else if chunk.choices.is_none() && chunk.usage.is_none() {
        // Errors come in a flat form too, and it would pass for a chunk that says nothing.
        let value: Value = serde_json::from_str(data).map_err(|e| Malformed::json(&e))?;
        let unknown = || Event::Unknown(Cow::Borrowed("chunk without choices"));
        emit(Fault::from_value(&value).map_or_else(unknown, Event::Error));
    }
    for choice in chunk.choices.unwrap_or_default() {
        // Only one answer is ever asked for.
        if choice.index.unwrap_or(0) == 0 {
            let finish = choice.finish_reason.as_ref().map(|reason| reason.0.clone());
            // Some servers write an empty word where OpenAI writes null.
            let finish = finish.filter(|reason| !reason.is_empty());
            emit_delta(choice, emit);
            if let Some(reason) = finish {
                emit(finish_of(reason));
            }
        }
    }
    if let Some(usage) = chunk.usage.and_then(ReportedUsage::complete) {
        emit(Event::Usage(usage));
    }
    Ok(())
}

pub(crate) fn emit_delta<'a>(choice: Choice<'a>, emit: &mut impl FnMut(Event<'a>)) {
    let delta = choice.delta.unwrap_or_default();
    let thinking = delta.reasoning_content.or(delta.reasoning);
    for (phase, text) in [(Phase::Thinking, thinking), (Phase::Answer, delta.content)] {
        if let Some(Text(text)) = text.filter(|text| !text.0.is_empty()) {
            emit(Event::Text { phase, text });
        }
    }
    emit_tool_calls(delta.tool_calls.unwrap_or_default(), emit);
}

pub(crate) fn emit_tool_calls<'a>(calls: Vec<ToolCall<'a>>, emit: &mut impl FnMut(Event<'a>)) {
    for (position, call) in calls.into_iter().enumerate() {
        let (name, arguments) =
            call.function.map_or((None, None), |function| (function.name, function.arguments));
        emit(Event::ToolCall(ToolCallDelta {
            index: call.index.unwrap_or(position as u32),
            id: call.id.map(|id| id.0).filter(|id| !id.is_empty()),
            name: name.map(|name| name.0).filter(|name| !name.is_empty()),
            arguments: arguments.map_or(Cow::Borrowed(""), |arguments| arguments.0),
        }));
    }
}

/// `network_error` is the upstream saying that its own answer broke off.
fn finish_of(reason: Cow<'_, str>) -> Event<'_> {
    match reason.as_ref() {
        "stop" => Event::Finish(FinishReason::Stop),
        "length" => Event::Finish(FinishReason::Length),
        "model_context_window_exceeded" => Event::Finish(FinishReason::ContextFull),
        "tool_calls" | "function_call" => Event::Finish(FinishReason::ToolCalls),
        "sensitive" | "content_filter" => Event::Finish(FinishReason::ContentFilter),
        "network_error" => Event::Error(Fault {
            code: Some("network_error".to_owned()),
            message: "the upstream's answer broke off".to_owned(),
        }),
        other => Event::Error(Fault {
            code: None,
            message: format!(
                "the upstream ended with the unknown finish reason {:?}",
                other.chars().take(40).collect::<String>()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(data: &str) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        decode(data, &mut |event| events.push(event.into_owned())).expect("a chunk");
        events
    }

    #[test]
    fn an_error_in_any_form_is_no_silence() {
        for data in [
            r#"{"error":{"code":"1302","message":"oh"}}"#,
            r#"{"code":1302,"message":"oh"}"#,
            r#"{"object":"error","message":"oh","code":400}"#,
            r#"{"error":"oh"}"#,
        ] {
            match &decoded(data)[..] {
                [Event::Error(fault)] => assert_eq!(fault.message, "oh", "{data}"),
                other => panic!("{data}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_chunk_that_says_nothing_is_no_error() {
        for data in [r#"{"choices":[]}"#, r#"{"choices":[{"delta":{},"finish_reason":""}]}"#] {
            assert_eq!(decoded(data), [], "{data}");
        }
        assert!(matches!(decoded(r#"{"id":"x"}"#)[..], [Event::Unknown(_)]));
    }
}
