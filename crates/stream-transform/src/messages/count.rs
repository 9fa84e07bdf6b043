//! How many tokens a request or an answer has, roughly: the upstream counts only what it answers.

use z2api_wire::anthropic::request::{Block, Blocks, MessagesRequest, Place, Source, Text};

use crate::opaque::{self, Opaque};

/// What an image is taken for.
const IMAGE: u64 = 1_000;
/// What a turn costs beside its text.
const TURN: u64 = 4;

/// A text's size. GLM's tokenizer takes about four characters of English or of code at once, and
/// about one and a half Chinese ones.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Size {
    ascii: u64,
    other: u64,
    tokens: u64,
}

impl Size {
    pub(super) fn add(&mut self, text: &str) {
        if text.is_ascii() {
            self.ascii += text.len() as u64;
            return;
        }
        let ascii = text.bytes().filter(u8::is_ascii).count();
        self.ascii += ascii as u64;
        self.other += (text.chars().count() - ascii) as u64;
    }

    /// An estimate.
    pub(super) fn tokens(self) -> u64 {
        let text = self.ascii as f64 / 4.0 + self.other as f64 / 1.5;
        self.tokens + text.ceil() as u64
    }

    fn add_blocks(&mut self, blocks: &Blocks) {
        match blocks {
            Blocks::Text(text) => self.add(text),
            Blocks::List(blocks) => blocks.iter().for_each(|block| self.add_block(block)),
        }
    }

    fn add_block(&mut self, block: &Block) {
        let Block { text, thinking, name, title, context, .. } = block;
        [text, thinking, name, title, context]
            .into_iter()
            .flatten()
            .for_each(|text| self.add(text));
        if let Some(Opaque::Thinking(hidden)) = block.signature.as_deref().map(opaque::read)
            && thinking.as_ref().is_some_and(String::is_empty)
        {
            self.add(&hidden);
        }
        if let Some(input) = &block.input {
            self.add(input.get());
        }
        match &block.source {
            Some(Source::At(Place::Text { data })) => self.add(data),
            Some(Source::At(Place::Content { content })) => self.add_blocks(content),
            Some(Source::At(Place::Base64 { .. } | Place::Url { .. } | Place::Unknown)) => {
                self.tokens += IMAGE;
            }
            Some(Source::Named(name)) => self.add(name),
            None => {}
        }
        if let Some(content) = &block.content {
            self.add_blocks(content);
        }
    }
}

/// An estimate of the tokens of a request.
pub fn estimate_tokens(request: &MessagesRequest) -> u64 {
    let mut size = Size::default();
    match &request.system {
        None => {}
        Some(Text::Plain(text)) => size.add(text),
        Some(Text::Blocks(blocks)) => blocks.iter().for_each(|block| size.add(&block.text)),
    }
    for turn in &request.messages {
        size.tokens += TURN;
        size.add_blocks(&turn.content);
    }
    let config = request.output_config.as_ref();
    for format in [config.and_then(|config| config.format.as_ref()), request.output_format.as_ref()]
    {
        size.add(format.map_or("", |format| format.get()));
    }
    for tool in request.tools.iter().flatten() {
        size.tokens += TURN;
        size.add(&tool.name);
        size.add(tool.description.as_deref().unwrap_or_default());
        size.add(tool.input_schema.as_ref().map_or("", |schema| schema.get()));
    }
    size.tokens()
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
        check(
            r#"{"model":"m","messages":[{"role":"user","content":[
                {"type":"document","title":"1234","source":{"type":"text","data":"12345678"}}]}]}"#,
            4 + 1 + 2,
        );
        for field in [r#""output_config":{"format":{"a":1}}"#, r#""output_format":{"a":1}"#] {
            check(&format!(r#"{{"model":"m","messages":[],{field}}}"#), 2);
        }
        let tool = r#"{"name":"abcd","description":"abcd","input_schema":{"a":1}}"#;
        check(&format!(r#"{{"model":"m","messages":[],"tools":[{tool}]}}"#), 8);
    }
}
