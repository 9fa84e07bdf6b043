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

/// An event whose `data` is no object: a title, tags, the other form of the end mark.
#[derive(Deserialize)]
struct Loose<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    data: &'a RawValue,
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
        Err(error) => return decode_loose(data, &error, emit),
    };
    let bare = envelope.data.is_none();
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
        None | Some("chat:completion") if bare => emit(bare_event(data)?),
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
        Some(kind) if says_nothing(kind) => {}
        Some(other) => emit(unknown("type", other)),
    }
    Ok(())
}

/// `data` has an unexpected form: fatal only in an event that may carry the answer.
fn decode_loose<'a>(
    data: &'a str,
    error: &serde_json::Error,
    emit: &mut impl FnMut(Event<'a>),
) -> Result<(), Malformed> {
    let Ok(loose) = serde_json::from_str::<Loose<'_>>(data) else {
        return Err(Malformed::json(error));
    };
    match loose.kind.as_ref().map(|kind| kind.0.as_ref()) {
        None if loose.data.get() == "\"[DONE]\"" => emit(Event::End),
        Some(kind) if says_nothing(kind) => {}
        None | Some("chat:completion" | "chat:message" | "chat:message:delta") => {
            return Err(Malformed::json(error));
        }
        Some(other) => emit(unknown("type", other)),
    }
    Ok(())
}

/// Events for the web page's frame around the answer.
fn says_nothing(kind: &str) -> bool {
    matches!(kind, "chat:title" | "chat:tags" | "conn:heartbeat")
}

/// An event without `data`: an error in the flat form that error bodies have, or no event of this
/// dialect.
fn bare_event<'a>(data: &str) -> Result<Event<'a>, Malformed> {
    let value: Value = serde_json::from_str(data).map_err(|error| Malformed::json(&error))?;
    Ok(Fault::from_value(&value).map_or_else(|| unknown("event without", "data"), Event::Error))
}

fn unknown<'a>(what: &str, name: &str) -> Event<'a> {
    Event::Unknown(Cow::Owned(format!("{what} {}", bounded(name))))
}

fn emit_completion<'a>(body: Body<'a>, emit: &mut impl FnMut(Event<'a>)) {
    let phase_name = body.phase.as_ref().map_or("", |phase| phase.0.as_ref());
    let done_phase = phase_name == "done";
    let done = body.done.unwrap_or(false);
    let finished = body.status.as_ref().is_some_and(|status| status.0 == "finish");
    let phase = known_phase(body.phase.as_ref());
    let Some(phase) = phase.or(done_phase.then_some(Phase::Answer)) else {
        emit(if done && phase_name == "error" {
            let text = body.delta_content.unwrap_or_default().0;
            Event::Error(Fault {
                code: None,
                message: text.chars().take(Fault::MAX_MESSAGE).collect(),
            })
        } else {
            unknown("phase", phase_name)
        });
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
            // Looked at, not taken: taking from what is no object would panic.
            let error = value(raw)?.get("error").cloned().unwrap_or_default();
            Ok((!error.is_null()).then(|| Fault::from_error(&error).unwrap_or_default()))
        }
        None => Ok(None),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(data: &str) -> Result<Vec<Event<'static>>, Malformed> {
        let mut events = Vec::new();
        decode(data, &mut |event| events.push(event.into_owned()))?;
        Ok(events)
    }

    #[test]
    fn what_frames_the_answer_says_nothing_whatever_its_form() {
        for data in [
            r#"{"type":"chat:title","data":"Tides"}"#,
            r#"{"type":"chat:tags","data":["sea"]}"#,
            r#"{"type":"chat:title","data":{"title":"Tides"}}"#,
            r#"{"type":"conn:heartbeat"}"#,
        ] {
            assert_eq!(decoded(data), Ok(Vec::new()), "{data}");
        }
    }

    #[test]
    fn an_error_in_any_form_is_no_silence() {
        for data in [
            r#"{"detail":"oh"}"#,
            r#"{"code":500,"msg":"oh"}"#,
            r#"{"error":"oh"}"#,
            r#"{"type":"chat:completion","error":{"detail":"oh"}}"#,
            r#"{"data":{"error":{"code":"X","detail":"oh"},"done":true}}"#,
            r#"{"data":{"data":{"error":{"detail":"oh"}}}}"#,
            r#"{"data":{"phase":"error","done":true,"delta_content":"oh"}}"#,
        ] {
            match &decoded(data).unwrap()[..] {
                [Event::Error(fault)] => assert_eq!(fault.message, "oh", "{data}"),
                other => panic!("{data}: {other:?}"),
            }
        }
    }

    #[test]
    fn inner_data_of_another_form_is_no_error_and_no_panic() {
        for inner in ["null", "1", "true", "\"x\"", "[]", "[1]", "{}"] {
            let data = format!(r#"{{"data":{{"data":{inner}}}}}"#);
            assert!(!matches!(decoded(&data).as_deref(), Ok([Event::Error(_)])), "{data}");
        }
    }

    #[test]
    fn what_is_not_known_is_counted() {
        for data in [
            r#"{"choices":[{"delta":{"content":"another dialect"}}]}"#,
            r#"{"type":"chat:mood","data":"fine"}"#,
            r#"{"type":"chat:completion","data":{"phase":"dreaming","delta_content":"x"}}"#,
        ] {
            assert!(matches!(decoded(data).unwrap()[..], [Event::Unknown(_)]), "{data}");
        }
    }

    #[test]
    fn an_answer_in_a_form_that_cannot_be_read_is_an_error() {
        for data in [
            r#"{"data":"some text"}"#,
            r#"{"type":"chat:completion","data":{"phase":"answer","delta_content":["x"]}}"#,
            r#"{"type":"chat:message","data":"x"}"#,
            "x",
        ] {
            assert!(decoded(data).is_err(), "{data}");
        }
    }

    #[test]
    fn each_end_mark_is_one() {
        for data in ["[DONE]", r#"{"data":"[DONE]"}"#, r#"{"data":{"phase":"done","done":true}}"#] {
            assert_eq!(decoded(data), Ok(vec![Event::End]), "{data}");
        }
        let not_yet = r#"{"data":{"phase":"answer","done":true,"delta_content":"x"}}"#;
        assert!(!decoded(not_yet).unwrap().contains(&Event::End));
    }
}
