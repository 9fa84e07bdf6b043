//! An answer before it is put into a dialect.

use super::{api, web};

/// What a model says: first its thinking, then its text, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The thinking; empty for none.
    pub thinking: String,
    /// The answer itself.
    pub text: String,
    /// So many characters come in one event; 0 counts as 1.
    pub piece: usize,
    /// Tokens of the prompt and of the completion.
    pub usage: (u64, u64),
}

impl Answer {
    /// The events of the `zai-web` dialect, without their framing. Thinking stands quoted in a
    /// `<details>` block, which an edit closes that also carries the first piece of the text.
    pub fn web_events(&self) -> Vec<String> {
        web::events(self)
    }

    /// The events of the `openai` dialect, without their framing, up to `[DONE]`.
    pub fn openai_events(&self, model: &str) -> Vec<String> {
        api::events(self, model)
    }

    /// The `openai` dialect's answer to a request that does not want a stream.
    pub fn openai_completion(&self, model: &str) -> String {
        api::completion(self, model)
    }

    pub(super) fn thinking_pieces(&self) -> impl Iterator<Item = &str> {
        pieces(&self.thinking, self.piece)
    }

    pub(super) fn text_pieces(&self) -> impl Iterator<Item = &str> {
        pieces(&self.text, self.piece)
    }
}

/// Cuts a text into pieces of so many characters.
pub(crate) fn pieces(text: &str, characters: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(characters.max(1)).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_characters() {
        assert_eq!(pieces("aé山🙂b", 2).collect::<Vec<_>>(), ["aé", "山🙂", "b"]);
        assert_eq!(pieces("ab", 0).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pieces("", 3).count(), 0);
    }
}
