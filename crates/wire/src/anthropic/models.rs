//! The list of models, in Anthropic's shape.

use serde::Serialize;

/// `GET /v1/models`, all of them on one page.
#[derive(Debug, Clone, Serialize)]
pub struct ModelList<'a> {
    /// The models.
    pub data: Vec<Model<'a>>,
    /// Whether there is another page. There is none.
    pub has_more: bool,
    /// Where this page begins.
    pub first_id: Option<&'a str>,
    /// Where it ends.
    pub last_id: Option<&'a str>,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct Model<'a> {
    /// Always `model`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The name to ask for.
    pub id: &'a str,
    /// The same, for people.
    pub display_name: &'a str,
    /// A date of RFC 3339.
    pub created_at: String,
    /// Always `active`: what is listed can be asked.
    pub lifecycle: &'static str,
    /// How many tokens it reads and writes at most, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// How many tokens it writes at most, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

impl<'a> ModelList<'a> {
    /// A list of these.
    pub fn of(data: Vec<Model<'a>>) -> Self {
        let (first_id, last_id) = (data.first().map(|m| m.id), data.last().map(|m| m.id));
        Self { data, has_more: false, first_id, last_id }
    }
}
