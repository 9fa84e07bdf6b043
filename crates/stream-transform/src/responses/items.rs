//! The items of a conversation in the Responses API, as messages of Chat Completions.

use z2api_wire::openai::request::{Content, ImageUrl, Message, Part, Role};
use z2api_wire::openai::responses::{self as responses, Item, Parts};

use crate::as_chat::{self, Call, json, need, outcome, said};
use crate::fold::Folded;
use crate::request::{RequestError, unsupported};

/// Adds the messages of `items`.
///
/// Thinking, text and calls that follow one another are one turn of the assistant's.
pub(super) fn add_items(items: Vec<Item>, messages: &mut Vec<Message>) -> Result<(), RequestError> {
    let (mut turn, mut images) = (Turn::default(), Vec::new());
    for (at, item) in items.into_iter().enumerate() {
        let place = format!("input[{at}]");
        let kind = item.kind.clone().unwrap_or_else(|| "message".to_owned());
        if kind != "function_call_output" {
            say_images(&mut images, messages);
        }
        match kind.as_str() {
            "message" if item.role == Some(responses::Role::Assistant) => {
                if turn.has_content() {
                    turn.end(messages);
                }
                turn.parts = parts(need(item.content, &place, "content")?, &place)?;
            }
            "message" => {
                turn.end(messages);
                messages.push(message(item, &place)?);
            }
            "reasoning" => {
                if !turn.is_only_thinking() {
                    turn.end(messages);
                }
                turn.think(item);
            }
            "function_call" => {
                let id = need(item.call_id, &place, "call_id")?;
                let name = need(item.name, &place, "name")?;
                let arguments = need(item.arguments, &place, "arguments")?;
                turn.calls.push(Call::new(id, name, arguments));
            }
            "function_call_output" => {
                turn.end(messages);
                add_output(item, &place, messages, &mut images)?;
            }
            "item_reference" => {
                return unsupported(&place, "no items are kept; send the item itself");
            }
            _ => return unsupported(&place, "items of this type mean nothing to the upstream"),
        }
    }
    turn.end(messages);
    say_images(&mut images, messages);
    Ok(())
}

/// The turn of the assistant's that an answer is to a later request.
pub fn answer_turn(answer: Folded<'_>) -> Message {
    let call = |call: &crate::FoldedCall| {
        Call::new(call.id.clone(), call.name.clone(), call.arguments.clone())
    };
    let calls: Vec<Call> = answer.tool_calls.iter().map(call).collect();
    let text = Some(answer.content).filter(|text| !text.is_empty() || calls.is_empty());
    Message {
        role: Role::Assistant,
        content: text.map(|text| Content::Text(text.to_owned())),
        reasoning_content: Some(answer.reasoning.to_owned()).filter(|text| !text.is_empty()),
        tool_calls: (!calls.is_empty()).then(|| json(&calls)),
        ..Message::user("")
    }
}

/// A turn of the assistant's that is being put together.
#[derive(Debug, Default)]
struct Turn {
    thinking: Vec<String>,
    parts: Vec<Part>,
    calls: Vec<Call>,
}

impl Turn {
    fn has_content(&self) -> bool {
        !self.parts.is_empty() || !self.calls.is_empty()
    }

    fn is_only_thinking(&self) -> bool {
        !self.has_content()
    }

    /// The text of a reasoning, or else its summary. One that is encrypted says nothing here.
    fn think(&mut self, item: Item) {
        let content = match item.content {
            Some(Parts::Text(text)) => vec![text],
            Some(Parts::List(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
            None => Vec::new(),
        };
        let summary = item.summary.into_iter().flatten().filter_map(|part| part.text);
        if content.is_empty() {
            self.thinking.extend(summary);
        } else {
            self.thinking.extend(content);
        }
    }

    fn end(&mut self, messages: &mut Vec<Message>) {
        let Self { thinking, parts, calls } = std::mem::take(self);
        if thinking.is_empty() && parts.is_empty() && calls.is_empty() {
            return;
        }
        messages.push(as_chat::turn(Role::Assistant, &thinking, parts, &calls));
    }
}

fn message(item: Item, place: &str) -> Result<Message, RequestError> {
    let role = match need(item.role, place, "role")? {
        responses::Role::User => Role::User,
        responses::Role::Assistant => Role::Assistant,
        responses::Role::System => Role::System,
        responses::Role::Developer => Role::Developer,
    };
    let content = match need(item.content, place, "content")? {
        Parts::Text(text) => Content::Text(text),
        list @ Parts::List(_) => Content::Parts(parts(list, place)?),
    };
    Ok(said(role, content))
}

/// A tool's message holds text only: images that functions gave follow the last of their outcomes as
/// the user's, since outcomes must stand together.
fn add_output(
    item: Item,
    place: &str,
    messages: &mut Vec<Message>,
    images: &mut Vec<Part>,
) -> Result<(), RequestError> {
    let id = need(item.call_id, place, "call_id")?;
    let mut texts = Vec::new();
    for part in parts(need(item.output, place, "output")?, place)? {
        match part {
            Part::Text { text } => texts.push(text),
            other => images.push(other),
        }
    }
    messages.push(outcome(id, texts.join("\n")));
    Ok(())
}

fn say_images(images: &mut Vec<Part>, messages: &mut Vec<Message>) {
    if !images.is_empty() {
        messages.push(said(Role::User, Content::Parts(std::mem::take(images))));
    }
}

fn parts(parts: Parts, place: &str) -> Result<Vec<Part>, RequestError> {
    let list = match parts {
        Parts::Text(text) => return Ok(vec![Part::Text { text }]),
        Parts::List(list) => list,
    };
    let part = |(at, part): (usize, responses::Part)| {
        let place = format!("{place}.content[{at}]");
        match part.kind.as_str() {
            "input_text" | "output_text" | "text" => {
                Ok(Part::Text { text: need(part.text, &place, "text")? })
            }
            "refusal" => Ok(Part::Refusal { refusal: need(part.refusal, &place, "refusal")? }),
            "input_image" => {
                let url = need(part.image_url, &place, "image_url")?;
                Ok(Part::ImageUrl { image_url: ImageUrl { url, detail: part.detail } })
            }
            _ => unsupported(&place, "parts of this type mean nothing to the upstream"),
        }
    };
    list.into_iter().enumerate().map(part).collect()
}
