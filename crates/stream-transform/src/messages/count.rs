//! How many tokens a request has, roughly: the upstream counts only what it answers.

use z2api_wire::anthropic::request::{Block, Blocks, MessagesRequest, Text};

/// What an image is taken for.
const IMAGE: f64 = 1_000.0;
/// What a turn costs beside its text.
const TURN: f64 = 4.0;

/// An estimate of the tokens of a request. GLM's tokenizer takes about four characters of English
/// or of code at once, and about one and a half Chinese ones.
pub fn estimate_tokens(request: &MessagesRequest) -> u64 {
    let system = match &request.system {
        None => 0.0,
        Some(Text::Plain(text)) => of_text(text),
        Some(Text::Blocks(blocks)) => blocks.iter().map(|block| of_text(&block.text)).sum(),
    };
    let turns: f64 = request.messages.iter().map(|turn| TURN + of_blocks(&turn.content)).sum();
    let tools = request.tools.iter().flatten().map(|tool| {
        let schema = tool.input_schema.as_ref().map_or("", |schema| schema.get());
        let description = tool.description.as_deref().unwrap_or_default();
        TURN + of_text(&tool.name) + of_text(description) + of_text(schema)
    });
    (system + turns + tools.sum::<f64>()).ceil() as u64
}

fn of_blocks(blocks: &Blocks) -> f64 {
    match blocks {
        Blocks::Text(text) => of_text(text),
        Blocks::List(blocks) => blocks.iter().map(of_block).sum(),
    }
}

fn of_block(block: &Block) -> f64 {
    let texts = [&block.text, &block.thinking, &block.name].into_iter().flatten();
    let input = block.input.as_ref().map_or(0.0, |input| of_text(input.get()));
    let image = if block.source.is_some() { IMAGE } else { 0.0 };
    let content = block.content.as_ref().map_or(0.0, of_blocks);
    texts.map(|text| of_text(text)).sum::<f64>() + input + image + content
}

fn of_text(text: &str) -> f64 {
    let characters = text.chars().count();
    let ascii = text.bytes().filter(u8::is_ascii).count();
    ascii as f64 / 4.0 + (characters - ascii) as f64 / 1.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: u64) {
        let request: MessagesRequest = serde_json::from_str(json).unwrap();
        assert_eq!(estimate_tokens(&request), expected, "{json}");
    }

    #[test]
    fn everything_that_is_sent_counts() {
        check(r#"{"model":"m","messages":[{"role":"user","content":"12345678"}]}"#, 6);
        check(r#"{"model":"m","messages":[{"role":"user","content":"天气好"}]}"#, 6);
        check(r#"{"model":"m","system":"1234","messages":[]}"#, 1);
        check(
            r#"{"model":"m","messages":[{"role":"user","content":[
                {"type":"text","text":"1234"},
                {"type":"image","source":{"type":"url","url":"x"}},
                {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"1234"}]}]}]}"#,
            4 + 1 + 1000 + 1,
        );
        let tool = r#"{"name":"abcd","description":"abcd","input_schema":{"a":1}}"#;
        check(&format!(r#"{{"model":"m","messages":[],"tools":[{tool}]}}"#), 8);
    }
}
