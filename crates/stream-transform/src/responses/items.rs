//! The items of a conversation in the Responses API, as messages of Chat Completions.

use z2api_wire::names::Origin;
use z2api_wire::openai::request::{Content, ImageUrl, Message, Part, Role};
use z2api_wire::openai::responses::{self as responses, Item, Parts};

use super::custom::Arguments;
use super::names::{OwnName, ToolNames};
use crate::as_chat::{self, Call, Turns, json, need, outcome, said};
use crate::fold::Folded;
use crate::opaque::{self, Opaque};
use crate::request::{RequestError, invalid, unsupported};

/// Adds the messages of `items`. `dropped` gets the names of what was left out.
///
/// Thinking, text and calls that follow one another are one turn of the assistant's, as is all that
/// it says before the last of its calls is answered: outcomes must follow the turn that called.
pub(super) fn add_items(
    items: Vec<Item>,
    names: &ToolNames,
    turns: &mut Turns,
    dropped: &mut Vec<&'static str>,
) -> Result<(), RequestError> {
    let mut turn = Turn::default();
    for (at, item) in items.into_iter().enumerate() {
        let place = format!("input[{at}]");
        let kind = item.kind.clone().unwrap_or_else(|| "message".to_owned());
        match kind.as_str() {
            "message" if item.role == Some(responses::Role::Assistant) => {
                turn.go_on(&place, turns);
                let content = need(item.content, &place, "content")?;
                turn.said.append(parts(content, &place, "content")?);
            }
            "message" => {
                turn.end(turns);
                let (message, origin) = message(item, place)?;
                turns.push(message, origin);
            }
            "reasoning" => {
                turn.go_on(&place, turns);
                turn.think(item, &place, dropped)?;
            }
            "function_call" | "custom_tool_call" => {
                if turn.is_answered() {
                    turn.end(turns);
                }
                turn.at(&place);
                turn.waiting.extend(item.call_id.clone());
                turn.calls.push(call(item, &place, names)?);
                turn.call_places.push(place);
            }
            "function_call_output" | "custom_tool_call_output" => {
                turn.answer(item, place)?;
            }
            "item_reference" => {
                let why = "items cannot be asked for one by one; send the item itself (in the AI \
                           SDK: `providerOptions.openai.store = false`)";
                return unsupported(&place, why);
            }
            _ => return unsupported(&place, "items of this type mean nothing to the upstream"),
        }
    }
    turn.end(turns);
    Ok(())
}

/// The turn of the assistant's that an answer is to a later request.
pub fn answer_turn(answer: Folded<'_>) -> Message {
    let call = |call: &crate::FoldedCall| {
        Call::new(call.id.clone(), call.name.clone(), call.arguments.clone())
    };
    let calls: Vec<Call> = answer.tool_calls.iter().map(call).collect();
    let thinking = Some(answer.reasoning.to_owned()).filter(|text| !text.is_empty());
    let turn = as_chat::turn(Role::Assistant, thinking.as_slice(), Vec::new(), &calls);
    match answer.content {
        "" => turn,
        text => Message { content: Some(Content::Text(text.to_owned())), ..turn },
    }
}

/// Parts of what is said, and where each stands.
#[derive(Debug, Default)]
struct Gathered {
    parts: Vec<Part>,
    places: Vec<String>,
}

impl Gathered {
    fn push(&mut self, part: Part, place: String) {
        self.parts.push(part);
        self.places.push(place);
    }

    fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.places.extend(other.places);
    }

    /// Says the images that functions gave, as the user's. They follow the last of the outcomes,
    /// since outcomes must stand together and hold text only.
    fn say(self, turns: &mut Turns) {
        let Self { parts, places } = self;
        if let Some(first) = places.first() {
            let origin = Origin { place: first.clone(), parts: places, calls: Vec::new() };
            turns.push(said(Role::User, Content::Parts(parts)), origin);
        }
    }
}

/// A turn of the assistant's that is being put together, and what its calls gave.
#[derive(Debug, Default)]
struct Turn {
    /// Where it begins.
    place: Option<String>,
    thinking: Vec<String>,
    said: Gathered,
    calls: Vec<Call>,
    call_places: Vec<String>,
    /// The ids of calls that no outcome has answered.
    waiting: Vec<String>,
    outcomes: Turns,
    images: Gathered,
}

impl Turn {
    /// Makes room for more thinking or text: within the turn while a call waits, or else in a new
    /// one if it has said something.
    fn go_on(&mut self, place: &str, turns: &mut Turns) {
        let has_content = !self.said.parts.is_empty() || !self.calls.is_empty();
        if self.waiting.is_empty() && (has_content || self.is_answered()) {
            self.end(turns);
        }
        self.at(place);
    }

    /// Whether there are outcomes, and no call waits for another.
    fn is_answered(&self) -> bool {
        self.waiting.is_empty() && !self.outcomes.messages.is_empty()
    }

    /// Takes the outcome of a call.
    fn answer(&mut self, item: Item, place: String) -> Result<(), RequestError> {
        let id = need(item.call_id, &place, "call_id")?;
        let mut texts = Vec::new();
        let output = need(item.output, &place, "output")?;
        let Gathered { parts, places } = parts(output, &place, "output")?;
        for (part, place) in parts.into_iter().zip(places) {
            match part {
                Part::Text { text } => texts.push(text),
                other => self.images.push(other, place),
            }
        }
        self.waiting.retain(|waiting| *waiting != id);
        self.outcomes.push(outcome(id, texts.join("\n")), Origin::at(place));
        Ok(())
    }

    fn at(&mut self, place: &str) {
        self.place.get_or_insert_with(|| place.to_owned());
    }

    /// What a reasoning holds for us, or else its text, or its summary.
    fn think(
        &mut self,
        item: Item,
        place: &str,
        dropped: &mut Vec<&'static str>,
    ) -> Result<(), RequestError> {
        const FIELD: &str = "encrypted_content";
        let opaque = item.encrypted_content.as_deref().filter(|text| !text.is_empty());
        let is_foreign = match opaque.map(opaque::read) {
            Some(Opaque::Thinking(text)) => {
                self.thinking.push(text);
                return Ok(());
            }
            Some(Opaque::Damaged) => {
                let param = format!("{place}.{FIELD}");
                return invalid(&param, format!("`{param}` is not as it was given."));
            }
            Some(Opaque::Foreign) => true,
            None => false,
        };
        let content = match item.content {
            Some(Parts::Text(text)) => vec![text],
            Some(Parts::List(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
            None => Vec::new(),
        };
        let summary = item.summary.into_iter().flatten().filter_map(|part| part.text);
        let told = if content.is_empty() { summary.collect() } else { content };
        if told.is_empty() && is_foreign {
            dropped.push(FIELD);
        }
        self.thinking.extend(told);
        Ok(())
    }

    fn end(&mut self, turns: &mut Turns) {
        let Self { place, thinking, said, calls, call_places, outcomes, images, waiting: _ } =
            std::mem::take(self);
        if !(thinking.is_empty() && said.parts.is_empty() && calls.is_empty()) {
            let place = place.unwrap_or_default();
            let origin = Origin { place, parts: said.places, calls: call_places };
            turns.push(as_chat::turn(Role::Assistant, &thinking, said.parts, &calls), origin);
        }
        turns.messages.extend(outcomes.messages);
        turns.origins.extend(outcomes.origins);
        images.say(turns);
    }
}

/// A call, by the name that the upstream knows.
fn call(item: Item, place: &str, names: &ToolNames) -> Result<Call, RequestError> {
    let id = need(item.call_id, place, "call_id")?;
    let name = need(item.name, place, "name")?;
    let name = names.upstream(&OwnName { namespace: item.namespace, name });
    let arguments = if item.kind.as_deref() == Some("custom_tool_call") {
        let input = need(item.input, place, "input")?;
        json(&Arguments { input: &input }).get().to_owned()
    } else {
        need(item.arguments, place, "arguments")?
    };
    Ok(Call::new(id, name, arguments))
}

fn message(item: Item, place: String) -> Result<(Message, Origin), RequestError> {
    let role = match need(item.role, &place, "role")? {
        responses::Role::User => Role::User,
        responses::Role::Assistant => Role::Assistant,
        responses::Role::System => Role::System,
        responses::Role::Developer => Role::Developer,
    };
    let mut origin = Origin::at(place);
    let content = match need(item.content, &origin.place, "content")? {
        Parts::Text(text) => Content::Text(text),
        list @ Parts::List(_) => {
            let Gathered { parts, places } = parts(list, &origin.place, "content")?;
            origin.parts = places;
            Content::Parts(parts)
        }
    };
    Ok((said(role, content), origin))
}

fn parts(given: Parts, place: &str, field: &str) -> Result<Gathered, RequestError> {
    let mut gathered = Gathered::default();
    let list = match given {
        Parts::Text(text) => {
            gathered.push(Part::Text { text }, format!("{place}.{field}"));
            return Ok(gathered);
        }
        Parts::List(list) => list,
    };
    for (at, part) in list.into_iter().enumerate() {
        let place = format!("{place}.{field}[{at}]");
        let part = match part.kind.as_str() {
            "input_text" | "output_text" | "text" => {
                Part::Text { text: need(part.text, &place, "text")? }
            }
            "refusal" => Part::Refusal { refusal: need(part.refusal, &place, "refusal")? },
            "input_image" => {
                let url = need(part.image_url, &place, "image_url")?;
                Part::ImageUrl { image_url: ImageUrl { url, detail: part.detail } }
            }
            "input_file" => match part.file_url {
                Some(url) => Part::FileUrl { file_url: ImageUrl { url, detail: None } },
                None => return unsupported(&place, "no files are kept; send its `file_url`"),
            },
            _ => return unsupported(&place, "parts of this type mean nothing to the upstream"),
        };
        gathered.push(part, place);
    }
    Ok(gathered)
}
