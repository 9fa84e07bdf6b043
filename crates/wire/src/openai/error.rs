//! The error object of OpenAI's API.

use serde::Serialize;

/// `{"error": {…}}`, the body of every error answer.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody<'a> {
    /// The error itself.
    pub error: ErrorObject<'a>,
}

/// What went wrong, in the fields OpenAI's clients read. All four are always there.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorObject<'a> {
    /// A sentence for a person.
    pub message: &'a str,
    /// The class, such as `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The field of the request at fault.
    pub param: Option<&'a str>,
    /// A word for programs, such as `model_not_found`.
    pub code: Option<&'a str>,
}
