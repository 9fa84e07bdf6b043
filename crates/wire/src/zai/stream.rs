//! The web chat's stream, as events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Malformed;
use crate::event::{Event, FinishReason, Phase, ReportedUsage};
use crate::fault::Fault;
use crate::openai::stream::{Choice, ToolCall, emit_delta, emit_tool_calls};
use crate::text::Text;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<Text<'a>>,
    #[serde(default, borrow)]
    data: Option<Body<'a>>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(default, borrow)]
    delta_content: Option<Text<'a>>,
    #[serde(default, borrow)]
    phase: Option<Text<'a>>,
    edit_index: Option<u64>,
    #[serde(default, borrow)]
    edit_content: Option<Text<'a>>,
    #[serde(default)]
    done: Option<bool>,
    usage: Option<ReportedUsage>,
    #[serde(default, borrow)]
    content: Option<Text<'a>>,
    #[serde(default, borrow)]
    status: Option<Text<'a>>,
    #[serde(default, borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// The other form of the end mark: `{"data":"[DONE]"}`.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Text<'a>,
}

/// Reads the data of one SSE event and hands what it says to `emit`.
///
/// # Errors
/// [`Malformed::NotJson`] if it is neither an end mark nor JSON of the dialect's shape.
pub fn decode<'a>(data: &'a str, emit: &mut impl FnMut(Event<'a>)) -> Result<(), Malformed> {
    if data.trim() == "[DONE]" {
        emit(Event::End);
        return Ok(());
    }
    let envelope: Envelope<'a> = match serde_json::from_str(data) {
        Ok(envelope) => envelope,
        Err(error) => {
            if serde_json::from_str::<Wrapped<'_>>(data).is_ok_and(|w| w.data.0 == "[DONE]") {
                emit(Event::End);
                return Ok(());
            }
            return Err(Malformed::json(&error));
        }
    };
    let body = envelope.data.unwrap_or_default();
    if let Some(fault) = fault_in(envelope.error, body.error, body.data)? {
        // Text that came with the refusal is still the upstream's text.
        if let Some(Text(text)) = body.delta_content.filter(|text| !text.0.is_empty())
            && let Some(phase) = known_phase(body.phase.as_ref())
        {
            emit(Event::Text { phase, text });
        }
        emit(Event::Error(fault));
        return Ok(());
    }
    match envelope.kind.as_ref().map(|kind| kind.0.as_ref()) {
        None | Some("chat:completion") => emit_completion(body, emit),
        Some("chat:message") => {
            if let Some(Text(text)) = body.content {
                emit(Event::Edit { phase: Phase::Answer, index: None, text });
            }
        }
        Some("chat:message:delta") => {
            if let Some(Text(text)) = body.content {
                emit(Event::Text { phase: Phase::Answer, text });
            }
        }
        Some("chat:title" | "chat:tags" | "conn:heartbeat") => {}
        Some(other) => emit(Event::Unknown(Cow::Owned(format!("type {}", bounded(other))))),
    }
    Ok(())
}

fn emit_completion<'a>(body: Body<'a>, emit: &mut impl FnMut(Event<'a>)) {
    let phase_name = body.phase.as_ref().map_or("", |phase| phase.0.as_ref());
    let done_phase = phase_name == "done";
    let done = body.done.unwrap_or(false);
    let finished = body.status.as_ref().is_some_and(|status| status.0 == "finish");
    let phase = known_phase(body.phase.as_ref());
    let Some(phase) = phase.or(done_phase.then_some(Phase::Answer)) else {
        emit(Event::Unknown(Cow::Owned(format!("phase {}", bounded(phase_name)))));
        return;
    };
    if let Some(Text(text)) = body.delta_content.filter(|text| !text.0.is_empty()) {
        emit(Event::Text { phase, text });
    }
    if let Some(Text(text)) = body.edit_content {
        let index = body.edit_index.map(|index| usize::try_from(index).unwrap_or(usize::MAX));
        emit(Event::Edit { phase, index, text });
    }
    if let Some(Text(text)) = body.content.filter(|text| !text.0.is_empty()) {
        emit(Event::Edit { phase, index: None, text });
    }
    for choice in body.choices.unwrap_or_default() {
        // An inner finish reason does not end this stream.
        emit_delta(choice, emit);
    }
    emit_tool_calls(body.tool_calls.unwrap_or_default(), emit);
    if let Some(usage) = body.usage.and_then(ReportedUsage::complete) {
        emit(Event::Usage(usage));
    }
    if done && finished {
        // Not the end mark, but the answer is whole: a stream that ends after it is no cut.
        emit(Event::Finish(FinishReason::Stop));
    }
    if done && done_phase {
        emit(Event::End);
    }
}

/// None for a phase this version does not know; text without a phase is answer text.
fn known_phase(phase: Option<&Text<'_>>) -> Option<Phase> {
    Some(match phase.map(|phase| phase.0.as_ref()) {
        None | Some("answer") => Phase::Answer,
        Some("thinking") => Phase::Thinking,
        Some("tool_call") => Phase::ToolCall,
        Some("tool_response") => Phase::ToolResponse,
        Some("other") => Phase::Other,
        Some(_) => return None,
    })
}

/// An error stands at the top, in `data`, in `data.data`, or in several of them.
fn fault_in(
    top: Option<&RawValue>,
    inner: Option<&RawValue>,
    nested: Option<&RawValue>,
) -> Result<Option<Fault>, Malformed> {
    let value = |raw: &RawValue| -> Result<Value, Malformed> {
        serde_json::from_str(raw.get()).map_err(|error| Malformed::json(&error))
    };
    for raw in [top, inner].into_iter().flatten() {
        let error = value(raw)?;
        if !error.is_null() {
            return Ok(Some(Fault::from_error(&error).unwrap_or_default()));
        }
    }
    match nested {
        Some(raw) => {
            let error = value(raw)?["error"].take();
            Ok((!error.is_null()).then(|| Fault::from_error(&error).unwrap_or_default()))
        }
        None => Ok(None),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(40).collect()
}
