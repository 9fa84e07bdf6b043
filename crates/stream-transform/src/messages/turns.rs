//! The turns of a conversation in the Messages API, as messages of Chat Completions.

use z2api_wire::anthropic::request::{self as anthropic, Block, Blocks, Source, Turn};
use z2api_wire::names::Origin;
use z2api_wire::openai::request::{Content, ImageUrl, Part, Role};

use crate::as_chat::{self, Call, Turns, need, outcome, said};
use crate::request::{RequestError, unsupported};

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
            "image" => self.say(image(need(block.source, &place, "source")?, &place)?, place),
            "document" => self.say(document(need(block.source, &place, "source")?, &place)?, place),
            "thinking" => self.thinking.push(need(block.thinking, &place, "thinking")?),
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
                    match block.kind.as_str() {
                        "text" => texts.push(need(block.text, &place, "text")?),
                        "image" => {
                            let source = need(block.source, &place, "source")?;
                            self.say(image(source, &place)?, place);
                        }
                        _ => return unsupported(&place, "a tool gives text or images"),
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

fn image(source: Source, place: &str) -> Result<Part, RequestError> {
    let url = match source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url { url } => url,
        Source::Text { .. } | Source::Unknown => {
            return unsupported(
                &format!("{place}.source"),
                "send the image as base64 or by its URL",
            );
        }
    };
    Ok(Part::ImageUrl { image_url: ImageUrl { url, detail: None } })
}

fn document(source: Source, place: &str) -> Result<Part, RequestError> {
    match source {
        Source::Text { data } => Ok(Part::Text { text: data }),
        Source::Base64 { .. } | Source::Url { .. } | Source::Unknown => {
            unsupported(&format!("{place}.source"), "documents can be sent as text only")
        }
    }
}
