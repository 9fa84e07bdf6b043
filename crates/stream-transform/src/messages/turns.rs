//! The turns of a conversation in the Messages API, as messages of Chat Completions.

use z2api_wire::anthropic::request::{self as anthropic, Block, Blocks, Source, Turn};
use z2api_wire::openai::request::{Content, ImageUrl, Message, Part, Role};

use crate::as_chat::{self, Call, need, outcome, said};
use crate::request::{RequestError, unsupported};

/// Adds the messages of one turn. What tools gave comes before what else the user says, since it
/// answers the turn before.
pub(super) fn add_turn(
    turn: Turn,
    at: usize,
    messages: &mut Vec<Message>,
) -> Result<(), RequestError> {
    let role = match turn.role {
        anthropic::Role::User => Role::User,
        anthropic::Role::Assistant => Role::Assistant,
        anthropic::Role::System => Role::System,
    };
    let blocks = match turn.content {
        Blocks::Text(text) => {
            messages.push(said(role, Content::Text(text)));
            return Ok(());
        }
        Blocks::List(blocks) => blocks,
    };
    let mut turn = Gathered::default();
    for (index, block) in blocks.into_iter().enumerate() {
        turn.add(block, &format!("messages[{at}].content[{index}]"))?;
    }
    turn.into_messages(role, messages);
    Ok(())
}

/// What the blocks of one turn say.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    thinking: Vec<String>,
    calls: Vec<Call>,
    results: Vec<Message>,
}

impl Gathered {
    fn add(&mut self, block: Block, place: &str) -> Result<(), RequestError> {
        match block.kind.as_str() {
            "text" => self.parts.push(Part::Text { text: need(block.text, place, "text")? }),
            "image" => self.parts.push(image(need(block.source, place, "source")?, place)?),
            "document" => self.parts.push(document(need(block.source, place, "source")?, place)?),
            "thinking" => self.thinking.push(need(block.thinking, place, "thinking")?),
            // Only Anthropic can read it.
            "redacted_thinking" => {}
            "tool_use" => {
                let arguments = need(block.input, place, "input")?.get().to_owned();
                let name = need(block.name, place, "name")?;
                let id = need(block.id, place, "id")?;
                self.calls.push(Call::new(id, name, arguments));
            }
            "tool_result" => self.add_result(block, place)?,
            _ => return unsupported(place, "blocks of this type mean nothing to the upstream"),
        }
        Ok(())
    }

    /// A tool's message holds text only: images that a tool gave follow as the user's.
    fn add_result(&mut self, block: Block, place: &str) -> Result<(), RequestError> {
        let id = need(block.tool_use_id, place, "tool_use_id")?;
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
                            self.parts.push(image(source, &place)?);
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
        self.results.push(outcome(id, text));
        Ok(())
    }

    fn into_messages(self, role: Role, messages: &mut Vec<Message>) {
        let Self { parts, thinking, calls, results } = self;
        let only_results = parts.is_empty() && calls.is_empty() && !results.is_empty();
        messages.extend(results);
        if only_results {
            return;
        }
        messages.push(as_chat::turn(role, &thinking, parts, &calls));
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
