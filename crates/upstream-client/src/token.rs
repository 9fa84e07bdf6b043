//! A token as it is sent: the `Authorization` header, and which guest it belongs to.

use std::sync::Arc;

use ::http::HeaderValue;

use crate::secret::Secret;

/// `Authorization: Bearer …`. Cheap to clone; its `Debug` hides it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    header: HeaderValue,
    /// Which guest token this is, counted from 1. None for the one in the settings.
    generation: Option<u64>,
    /// All tokens of the settings, which the upstream may know too. The longest first: one may begin
    /// with another.
    beside: Arc<[Secret]>,
}

const SCHEME: &str = "Bearer ";

impl Token {
    /// The token of the settings. None if it cannot stand in a header.
    pub(crate) fn given(text: &str) -> Option<Self> {
        Self::new(text, None)
    }

    /// The token among all of the settings.
    pub(crate) fn beside(self, all: &Arc<[Secret]>) -> Self {
        Self { beside: Arc::clone(all), ..self }
    }

    /// A guest's token. None if it cannot stand in a header.
    pub(crate) fn guest(text: &str, generation: u64) -> Option<Self> {
        Self::new(text, Some(generation))
    }

    fn new(text: &str, generation: Option<u64>) -> Option<Self> {
        if text.trim().is_empty() || !text.is_ascii() {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("{SCHEME}{text}")).ok()?;
        header.set_sensitive(true);
        Some(Self { header, generation, beside: Arc::default() })
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    pub(crate) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// What must not be shown where the upstream repeats it: this token, and those beside it.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        let beside = self.beside.iter().map(Secret::expose);
        beside.chain(std::iter::once(self.text())).filter(|text| !text.trim().is_empty())
    }

    /// The token without the scheme.
    pub(crate) fn text(&self) -> &str {
        self.header.to_str().map_or("", |header| &header[SCHEME.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hidden_in_its_debug_text() {
        let token = Token::given("sk-123").unwrap();
        assert!(!format!("{token:?}").contains("sk-123"));
        assert_eq!(token.text(), "sk-123");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        for text in ["", " ", "a\nb", "é"] {
            assert!(Token::given(text).is_none(), "{text:?}");
        }
    }
}
