//! An answer in the `zai-web` dialect.

use serde::Serialize;

use super::answer::{Answer, pieces};

/// What the thinking begins with; the edit that closes it starts right after `done="`.
const OPENING: &str = "<details type=\"reasoning\" done=\"false\" view=\"\" last_tool_call_name=\"\">\n\
    <summary>Thinking…</summary>\n> ";
const EDIT_INDEX: usize = 32;

/// One event. The fields come in the order the real upstream writes them.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: Data<'a>,
}

#[derive(Default, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit_content: Option<&'a str>,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

pub(super) fn events(answer: &Answer) -> Vec<String> {
    let mut events = thinking(answer);
    let mut text = answer.text_pieces();
    if !answer.thinking.is_empty() {
        let edit = closing_edit(answer, text.next().unwrap_or_default());
        events.push(event(Data {
            edit_index: Some(EDIT_INDEX),
            edit_content: Some(&edit),
            phase: "answer",
            ..Data::default()
        }));
    }
    events.extend(text.map(|piece| delta("answer", piece)));
    // The real upstream counts before it has said its last word.
    let before_the_last_word = events.len().saturating_sub(1);
    events.insert(before_the_last_word, usage(answer.usage));
    events.push(event(Data { phase: "done", done: Some(true), ..Data::default() }));
    events
}

/// The thinking deltas: every line quoted, the first one behind the opening of the block.
fn thinking(answer: &Answer) -> Vec<String> {
    let quoted = quoted(&answer.thinking);
    let mut pieces = pieces(&quoted, answer.piece);
    let Some(first) = pieces.next() else { return Vec::new() };
    let first = delta("thinking", &format!("{OPENING}{first}"));
    std::iter::once(first).chain(pieces.map(|piece| delta("thinking", piece))).collect()
}

fn closing_edit(answer: &Answer, first_piece: &str) -> String {
    let seconds = 1 + answer.thinking.len() / 200;
    let thinking = quoted(&answer.thinking);
    format!(
        "true\" duration=\"{seconds}\" view=\"\" last_tool_call_name=\"\">\n\
         <summary>Thought for {seconds} seconds</summary>\n> {thinking}\n</details>\n{first_piece}"
    )
}

fn quoted(thinking: &str) -> String {
    thinking.replace('\n', "\n> ")
}

fn usage((prompt_tokens, completion_tokens): (u64, u64)) -> String {
    let total_tokens = prompt_tokens + completion_tokens;
    let usage = Usage { prompt_tokens, completion_tokens, total_tokens };
    event(Data { phase: "other", usage: Some(usage), ..Data::default() })
}

fn delta(phase: &'static str, text: &str) -> String {
    event(Data { delta_content: Some(text), phase, ..Data::default() })
}

fn event(data: Data<'_>) -> String {
    let event = Event { kind: "chat:completion", data };
    serde_json::to_string(&event).expect("an event of texts and numbers is always JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn answer(thinking: &str, text: &str) -> Answer {
        Answer { thinking: thinking.into(), text: text.into(), piece: 4, usage: (3, 5) }
    }

    /// The message as the web site would show it: deltas appended, edits applied (their index
    /// counts UTF-16 units).
    fn message(events: &[String]) -> String {
        let mut message: Vec<u16> = Vec::new();
        for event in events {
            let event: Value = serde_json::from_str(event).unwrap();
            let data = &event["data"];
            if let Some(text) = data["delta_content"].as_str() {
                message.extend(text.encode_utf16());
            }
            if let Some(text) = data["edit_content"].as_str() {
                message.truncate(data["edit_index"].as_u64().unwrap() as usize);
                message.extend(text.encode_utf16());
            }
        }
        String::from_utf16(&message).unwrap()
    }

    #[test]
    fn the_edit_closes_the_block_it_was_opened_in() {
        let events = answer("山川 hm\n\nso", "Hello there.").web_events();
        assert_eq!(
            message(&events),
            "<details type=\"reasoning\" done=\"true\" duration=\"1\" view=\"\" \
             last_tool_call_name=\"\">\n<summary>Thought for 1 seconds</summary>\n\
             > 山川 hm\n> \n> so\n</details>\nHello there."
        );
    }

    #[test]
    fn without_thinking_there_are_plain_deltas() {
        let events = answer("", "Hello").web_events();
        assert_eq!(
            events,
            [
                r#"{"type":"chat:completion","data":{"delta_content":"Hell","phase":"answer"}}"#,
                r#"{"type":"chat:completion","data":{"phase":"other","usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}}"#,
                r#"{"type":"chat:completion","data":{"delta_content":"o","phase":"answer"}}"#,
                r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
            ]
        );
    }

    #[test]
    fn a_silent_answer_still_has_its_usage_and_its_end() {
        assert_eq!(answer("", "").web_events().len(), 2);
        assert!(message(&answer("hm", "").web_events()).ends_with("> hm\n</details>\n"));
    }
}
