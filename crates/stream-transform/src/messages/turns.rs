//! The turns of a conversation in the Messages API, as messages of Chat Completions.

use z2api_wire::anthropic::request::{self as anthropic, Block, Blocks, Place, Source, Turn};
use z2api_wire::names::Origin;
use z2api_wire::openai::request::{Content, ImageUrl, Part, Role};

use crate::as_chat::{self, Call, Turns, need, outcome, said};
use crate::opaque::{self, Opaque};
use crate::request::{RequestError, invalid, unsupported};

/// Adds the messages of one turn. What tools gave comes before what else the user says, since it
/// answers the turn before.
pub(super) fn add_turn(turn: Turn, at: usize, turns: &mut Turns) -> Result<(), RequestError> {
    let place = format!("messages[{at}]");
    let role = match turn.role {
        anthropic::Role::User => Role::User,
        anthropic::Role::Assistant => Role::Assistant,
        anthropic::Role::System => Role::System,
    };
    let blocks = match turn.content {
        Blocks::Text(text) => {
            turns.push(said(role, Content::Text(text)), Origin::at(place));
            return Ok(());
        }
        Blocks::List(blocks) => blocks,
    };
    let mut gathered = Gathered::default();
    for (index, block) in blocks.into_iter().enumerate() {
        gathered.add(block, format!("{place}.content[{index}]"), turns)?;
    }
    gathered.end(role, place, turns);
    Ok(())
}

/// What the blocks of one turn say, and where each stands.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    part_places: Vec<String>,
    thinking: Vec<String>,
    calls: Vec<Call>,
    call_places: Vec<String>,
    has_results: bool,
}

impl Gathered {
    fn add(&mut self, block: Block, place: String, turns: &mut Turns) -> Result<(), RequestError> {
        match block.kind.as_str() {
            "text" => {
                let text = need(block.text, &place, "text")?;
                self.say(Part::Text { text }, place);
            }
            "image" | "document" | "search_result" => {
                for part in media(block, &place)? {
                    self.say(part, place.clone());
                }
            }
            "thinking" => self.think(block, &place)?,
            // Only Anthropic can read it.
            "redacted_thinking" => {}
            "tool_use" => {
                let arguments = need(block.input, &place, "input")?.get().to_owned();
                let name = need(block.name, &place, "name")?;
                let id = need(block.id, &place, "id")?;
                self.calls.push(Call::new(id, name, arguments));
                self.call_places.push(place);
            }
            "tool_result" => self.add_result(block, place, turns)?,
            _ => return unsupported(&place, "blocks of this type mean nothing to the upstream"),
        }
        Ok(())
    }

    /// What was not shown stands in the signature, if we wrote it.
    fn think(&mut self, block: Block, place: &str) -> Result<(), RequestError> {
        let thinking = need(block.thinking, place, "thinking")?;
        let signature = block.signature.unwrap_or_default();
        match opaque::read(&signature) {
            Opaque::Thinking(hidden) if thinking.is_empty() => self.thinking.push(hidden),
            Opaque::Damaged if thinking.is_empty() => {
                let param = format!("{place}.signature");
                return invalid(&param, format!("`{param}` is not as it was given."));
            }
            Opaque::Foreign if thinking.is_empty() => {}
            Opaque::Thinking(_) | Opaque::Damaged | Opaque::Foreign => self.thinking.push(thinking),
        }
        Ok(())
    }

    fn say(&mut self, part: Part, place: String) {
        self.parts.push(part);
        self.part_places.push(place);
    }

    /// A tool's message holds text only: images that a tool gave follow as the user's.
    fn add_result(
        &mut self,
        block: Block,
        place: String,
        turns: &mut Turns,
    ) -> Result<(), RequestError> {
        let id = need(block.tool_use_id, &place, "tool_use_id")?;
        let mut texts = Vec::new();
        match block.content {
            None => {}
            Some(Blocks::Text(text)) => texts.push(text),
            Some(Blocks::List(blocks)) => {
                for (index, block) in blocks.into_iter().enumerate() {
                    let place = format!("{place}.content[{index}]");
                    for part in given(block, &place)? {
                        match part {
                            Part::Text { text } => texts.push(text),
                            image => self.say(image, place.clone()),
                        }
                    }
                }
            }
        }
        let mut text = texts.join("\n");
        if block.is_error == Some(true) {
            // OpenAI's shape has no mark for it, and the model should know.
            text.insert_str(0, "Error: ");
        }
        self.has_results = true;
        turns.push(outcome(id, text), Origin::at(place));
        Ok(())
    }

    /// A turn of nothing but results has been said by now.
    fn end(self, role: Role, place: String, turns: &mut Turns) {
        let Self { parts, part_places, thinking, calls, call_places, has_results } = self;
        if parts.is_empty() && calls.is_empty() && has_results {
            return;
        }
        let origin = Origin { place, parts: part_places, calls: call_places };
        turns.push(as_chat::turn(role, &thinking, parts, &calls), origin);
    }
}

/// What a block of a tool's result, or of a document, holds.
fn given(block: Block, place: &str) -> Result<Vec<Part>, RequestError> {
    match block.kind.as_str() {
        "text" => Ok(vec![Part::Text { text: need(block.text, place, "text")? }]),
        "image" | "document" | "search_result" => media(block, place),
        _ => unsupported(place, "only text, images, documents and search results can stand here"),
    }
}

/// The parts of an image, a document or a search result.
fn media(block: Block, place: &str) -> Result<Vec<Part>, RequestError> {
    match block.kind.as_str() {
        "image" => Ok(vec![image(need(block.source, place, "source")?, place)?]),
        "document" => document(block, place),
        _ => search_result(block, place),
    }
}

fn image(source: Source, place: &str) -> Result<Part, RequestError> {
    let url = match source {
        Source::At(Place::Base64 { media_type, data }) => {
            format!("data:{media_type};base64,{data}")
        }
        Source::At(Place::Url { url }) => url,
        Source::At(Place::Text { .. } | Place::Content { .. } | Place::Unknown)
        | Source::Named(_) => {
            let why = "send the image as base64 or by its URL";
            return unsupported(&format!("{place}.source"), why);
        }
    };
    Ok(Part::ImageUrl { image_url: ImageUrl { url, detail: None } })
}

/// Its title and what to know about it stand before its text: the model is to see them, too.
fn document(block: Block, place: &str) -> Result<Vec<Part>, RequestError> {
    let mut parts = head([block.title, block.context]);
    match need(block.source, place, "source")? {
        Source::At(Place::Text { data }) => parts.push(Part::Text { text: data }),
        Source::At(Place::Content { content }) => {
            parts.extend(all_given(content, &format!("{place}.source"))?);
        }
        Source::At(Place::Base64 { .. } | Place::Url { .. } | Place::Unknown)
        | Source::Named(_) => {
            let why = "documents can be sent as text only";
            return unsupported(&format!("{place}.source"), why);
        }
    }
    Ok(parts)
}

fn search_result(block: Block, place: &str) -> Result<Vec<Part>, RequestError> {
    let Source::Named(source) = need(block.source, place, "source")? else {
        let param = format!("{place}.source");
        return invalid(&param, format!("`{param}` must be a string."));
    };
    let mut parts = head([block.title, Some(source)]);
    parts.extend(all_given(need(block.content, place, "content")?, place)?);
    Ok(parts)
}

fn all_given(content: Blocks, place: &str) -> Result<Vec<Part>, RequestError> {
    match content {
        Blocks::Text(text) => Ok(vec![Part::Text { text }]),
        Blocks::List(blocks) => {
            let mut parts = Vec::with_capacity(blocks.len());
            for (index, block) in blocks.into_iter().enumerate() {
                parts.extend(given(block, &format!("{place}.content[{index}]"))?);
            }
            Ok(parts)
        }
    }
}

/// Lines that stand before a text, if there are any.
fn head<const N: usize>(lines: [Option<String>; N]) -> Vec<Part> {
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    let text = lines.join("\n") + "\n";
    (!lines.is_empty()).then_some(Part::Text { text }).into_iter().collect()
}
