//! What the upstream calls its answer, and the model that gives it.

use serde::Deserialize;

use crate::text::Text;

/// A longer name is none, in bytes.
const MAX_NAME: usize = 256;

/// What the upstream calls its answer, and the model that gives it; each as far as it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The answer's id.
    pub id: Option<Box<str>>,
    /// The model's name, which may be more exact than the one that was asked.
    pub model: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(default, borrow)]
    id: Option<Text<'a>>,
    #[serde(default, borrow)]
    model: Option<Text<'a>>,
}

impl Named {
    /// What a chunk in OpenAI's shape says of them. The web chat says nothing of the kind.
    pub(crate) fn in_chunk(data: &str) -> Self {
        let Ok(said) = serde_json::from_str::<Said<'_>>(data) else { return Self::default() };
        Self { id: said.id.and_then(short), model: said.model.and_then(short) }
    }
}

fn short(Text(name): Text<'_>) -> Option<Box<str>> {
    (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_chunk_says_and_nothing_else() {
        let named = |id: Option<&str>, model: Option<&str>| Named {
            id: id.map(Into::into),
            model: model.map(Into::into),
        };
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_NAME + 1));
        for (data, wanted) in [
            (r#"{"id":"a","model":"m","choices":[]}"#, named(Some("a"), Some("m"))),
            (r#"{"model":"m\u0061"}"#, named(None, Some("ma"))),
            (r#"{"id":"","model":null}"#, Named::default()),
            (r#"{"id":7}"#, Named::default()),
            ("[DONE]", Named::default()),
            (long.as_str(), Named::default()),
        ] {
            assert_eq!(Named::in_chunk(data), wanted, "{data}");
        }
    }
}
