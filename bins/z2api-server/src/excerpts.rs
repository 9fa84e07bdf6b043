//! What of a request's messages the log has, where the settings ask for them.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use z2api_observability::Excerpt;
use z2api_wire::openai::request::{Content, ImageUrl, Message, Part, Role};

/// How much of the messages a line has, in bytes of their JSON; the newest may be longer by its
/// frame and its escapes.
const MAX_MESSAGES: usize = 8 * 1024;
/// With less room than that, older messages are left out: nothing of use would be left of them.
const LEAST: usize = 256;
/// How many parts of a message.
const MAX_PARTS: usize = 16;
/// How much of a URL, in bytes: it may hold a whole image.
const MAX_URL: usize = 256;
/// How much of a name, in bytes.
const MAX_NAME: usize = 128;

/// The last messages, in their order, as far as there is room: what is asked stands at the end.
pub(crate) fn last_messages(messages: &[Message]) -> Vec<Box<RawValue>> {
    let (mut room, mut last) = (MAX_MESSAGES, Vec::new());
    for message in messages.iter().rev() {
        if room < LEAST {
            break;
        }
        let Ok(json) = to_raw_value(&Shown::of(message, room)) else { break };
        room = room.saturating_sub(json.get().len());
        last.push(json);
    }
    last.reverse();
    last
}

/// A message with what it holds, cut.
#[derive(Serialize)]
struct Shown {
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Excerpt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Excerpt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Excerpt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Excerpt>,
}

impl Shown {
    fn of(message: &Message, room: usize) -> Self {
        let Message { content, reasoning_content, refusal, tool_calls, function_call, .. } =
            message;
        let long = [
            content.is_some(),
            reasoning_content.is_some(),
            refusal.is_some(),
            tool_calls.is_some(),
            function_call.is_some(),
        ];
        let share = room / long.into_iter().filter(|is_there| *is_there).count().max(1);
        let text = |text: &String| Excerpt::of(text, share);
        let name = |name: &String| Excerpt::of(name, MAX_NAME);
        Self {
            role: message.role,
            content: content.as_ref().map(|content| shown_content(content, share)),
            name: message.name.as_ref().map(name),
            reasoning_content: reasoning_content.as_ref().map(text),
            refusal: refusal.as_ref().map(text),
            tool_calls: tool_calls.as_ref().map(|calls| shown_json(calls, share)),
            function_call: function_call.as_ref().map(|call| shown_json(call, share)),
            tool_call_id: message.tool_call_id.as_ref().map(name),
        }
    }
}

fn shown_content(content: &Content, room: usize) -> Content {
    let cut = |text: &String, most: usize| Excerpt::of(text, most).to_string();
    let parts = match content {
        Content::Text(text) => return Content::Text(cut(text, room)),
        Content::Parts(parts) => parts,
    };
    let share = room / parts.len().clamp(1, MAX_PARTS);
    let url = |at: &ImageUrl| ImageUrl {
        url: cut(&at.url, share.min(MAX_URL)),
        detail: at.detail.as_ref().map(|detail| cut(detail, MAX_NAME)),
    };
    let (missing, last) = parts.split_at(parts.len().saturating_sub(MAX_PARTS));
    let shown = last.iter().map(|part| match part {
        Part::Text { text } => Part::Text { text: cut(text, share) },
        Part::Refusal { refusal } => Part::Refusal { refusal: cut(refusal, share) },
        Part::ImageUrl { image_url } => Part::ImageUrl { image_url: url(image_url) },
        Part::VideoUrl { video_url } => Part::VideoUrl { video_url: url(video_url) },
        Part::FileUrl { file_url } => Part::FileUrl { file_url: url(file_url) },
    });
    let count = missing.len();
    let told = (count > 0).then(|| Part::Text { text: format!("…({count} parts left out)…") });
    Content::Parts(told.into_iter().chain(shown).collect())
}

/// As it is if there is room; or else a text of it, cut. A line break can stand between its words only,
/// and says nothing there.
fn shown_json(json: &RawValue, room: usize) -> Box<RawValue> {
    let text = json.get().replace(['\n', '\r', '\t'], " ");
    let whole = (text.len() <= room).then(|| RawValue::from_string(text).ok()).flatten();
    let cut = || to_raw_value(&Excerpt::of(json.get(), room));
    whole.or_else(|| cut().ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(messages: &Value) -> Vec<Value> {
        let messages: Vec<Message> = serde_json::from_value(messages.clone()).unwrap();
        let shown = last_messages(&messages);
        shown.iter().map(|json| serde_json::from_str(json.get()).unwrap()).collect()
    }

    #[test]
    fn what_has_room_is_there_as_it_came() {
        let messages = json!([
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "天 \"and\" é"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
            {"role": "assistant", "reasoning_content": "Hm.", "refusal": "No.", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "user", "name": "ann", "content": "And?"},
        ]);
        assert_eq!(Value::from(shown(&messages)), messages);
    }

    #[test]
    fn of_a_long_conversation_the_end_is_there() {
        let turn = |number: usize| json!({"role": "user", "content": format!("{number} {}", "x".repeat(1000))});
        let messages: Vec<Value> = (0..100).map(turn).collect();
        let shown = shown(&messages.into());
        assert!((8..10).contains(&shown.len()), "{}", shown.len());
        assert_eq!(shown.last(), Some(&turn(99)));
        let oldest = shown[0]["content"].as_str().unwrap();
        assert!(oldest.contains(" bytes left out)…") || shown[0] == turn(100 - shown.len()));
    }

    #[test]
    fn one_message_is_bounded_whatever_it_holds() {
        let text = format!("From here {} to there.", "é".repeat(50_000));
        let part = json!({"type": "text", "text": text});
        let image = json!({"type": "image_url", "image_url": {"url": format!("data:,{text}")}});
        let call = json!([{"id": "c", "type": "function",
            "function": {"name": "look", "arguments": text}}]);
        let messages = [
            json!({"role": "user", "content": text}),
            json!({"role": "user", "content": vec![part; 1000]}),
            json!({"role": "user", "content": vec![image.clone(); 16]}),
            json!({"role": "assistant", "content": text, "reasoning_content": text,
                "refusal": text, "tool_calls": call, "function_call": call[0], "name": text}),
        ];
        for message in messages {
            let shown = shown(&json!([{"role": "user", "content": text}, message]));
            let told = shown.last().unwrap().to_string();
            assert!((4000..MAX_MESSAGES + 2500).contains(&told.len()), "{} {told}", told.len());
            assert!(told.contains(" bytes left out)…"), "{told}");
        }
        let question = json!([{"type": "text", "text": "What is this?"}, image]);
        let shown = shown(&json!([{"role": "user", "content": question}]));
        assert_eq!(shown[0]["content"][0]["text"], "What is this?", "beside an image");
        let many = shown_content(&Content::Parts(vec![Part::Text { text }; 1000]), MAX_MESSAGES);
        let many = serde_json::to_value(&many).unwrap();
        assert_eq!(many.as_array().unwrap().len(), 1 + MAX_PARTS);
        assert_eq!(many[0]["text"], "…(984 parts left out)…");
    }

    #[test]
    fn no_line_breaks_come_with_what_a_client_wrote() {
        let calls =
            RawValue::from_string("[\n 12345678901234567890123,\r\n\t2]".to_owned()).unwrap();
        let mut message = Message::new(Role::Assistant, None);
        message.tool_calls = Some(calls);
        let json = last_messages(&[message]).remove(0);
        assert_eq!(
            json.get(),
            r#"{"role":"assistant","tool_calls":[  12345678901234567890123,   2]}"#
        );
    }
}
