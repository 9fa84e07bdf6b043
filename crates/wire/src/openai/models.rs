//! The list of models.

use serde::Serialize;

/// `GET /v1/models`.
#[derive(Debug, Clone, Serialize)]
pub struct ModelList<'a> {
    /// Always `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<Model<'a>>,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct Model<'a> {
    /// The name to ask for.
    pub id: &'a str,
    /// Always `model`.
    pub object: &'static str,
    /// Unix time in seconds. The same at every call.
    pub created: u64,
    /// Whose it is.
    pub owned_by: &'a str,
    /// How many tokens it reads and writes at most, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// How many tokens it writes at most, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

impl<'a> Model<'a> {
    /// A model of Z.ai.
    pub fn new(id: &'a str, created: u64) -> Self {
        Self {
            id,
            object: "model",
            created,
            owned_by: "z.ai",
            context_length: None,
            max_output_tokens: None,
        }
    }
}
