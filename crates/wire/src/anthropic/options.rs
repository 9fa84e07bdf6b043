//! What a request asks besides its conversation: thinking, tools, the form of the answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::Mark;

/// `context_management`.
#[derive(Debug, Deserialize)]
pub struct ContextManagement {
    /// What to do, in order.
    pub edits: Option<Vec<Edit>>,
}

/// One of the edits of a conversation.
#[derive(Debug, Deserialize)]
pub struct Edit {
    /// A dated name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to keep of it.
    pub keep: Option<Box<RawValue>>,
}

impl ContextManagement {
    /// Whether the thinking of all earlier turns is to stay.
    pub fn keeps_thinking(&self) -> bool {
        self.edits.iter().flatten().any(Edit::keeps_thinking)
    }
}

impl Edit {
    /// Whether it takes nothing out: of the thinking, it keeps all.
    pub fn keeps_thinking(&self) -> bool {
        let all = self.keep.as_ref().is_some_and(|keep| keep.get() == "\"all\"");
        all && self.kind.starts_with("clear_thinking_")
    }
}

/// `metadata`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The client's name for its user.
    pub user_id: Option<String>,
}

/// `output_config`.
#[derive(Debug, Deserialize)]
pub struct OutputConfig {
    /// A schema that the answer has to follow.
    pub format: Option<Box<RawValue>>,
    /// How much effort to spend.
    pub effort: Option<String>,
}

/// `thinking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Thinking {
    /// Think, with at most so many tokens.
    Enabled {
        /// A bound that this upstream has no parameter for.
        budget_tokens: Option<u64>,
        /// Whether to show it.
        display: Option<Display>,
    },
    /// Think as seems fit.
    Adaptive {
        /// Whether to show it.
        display: Option<Display>,
    },
    /// Do not think.
    Disabled,
}

/// Whether the thinking is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Display {
    /// It is.
    Summarized,
    /// It is not.
    Omitted,
}

impl Thinking {
    /// Whether the model is to think.
    pub fn is_on(self) -> bool {
        match self {
            Self::Enabled { .. } | Self::Adaptive { .. } => true,
            Self::Disabled => false,
        }
    }

    /// Whether the thinking is not to be shown.
    pub fn is_hidden(self) -> bool {
        match self {
            Self::Enabled { display, .. } | Self::Adaptive { display } => {
                display == Some(Display::Omitted)
            }
            Self::Disabled => false,
        }
    }
}

/// A tool.
#[derive(Debug, Deserialize)]
pub struct Tool {
    /// `custom` or absent for a tool of the client's; a dated name for one of Anthropic's own.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The tool's name.
    pub name: String,
    /// What it is good for.
    pub description: Option<String>,
    /// A schema of its input.
    pub input_schema: Option<Box<RawValue>>,
    /// Whether calls keep to the schema to the letter.
    pub strict: Option<bool>,
    /// Whether it is hidden until a search for tools finds it.
    pub defer_loading: Option<bool>,
    /// How calls may look.
    pub input_examples: Option<Mark>,
    /// Of a search: how often.
    pub max_uses: Option<Mark>,
    /// Of a search: where alone.
    pub allowed_domains: Option<Mark>,
    /// Of a search: where not.
    pub blocked_domains: Option<Mark>,
    /// Of a search: for somebody who is there.
    pub user_location: Option<Mark>,
    /// What to remember.
    pub cache_control: Option<Mark>,
}

/// `tool_choice`.
#[derive(Debug, Deserialize)]
pub struct ToolChoice {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ToolChoiceKind,
    /// The tool's name, of [`ToolChoiceKind::Tool`].
    pub name: Option<String>,
    /// At most one call.
    pub disable_parallel_tool_use: Option<bool>,
}

/// Which tool to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoiceKind {
    /// As the model sees fit.
    Auto,
    /// Some tool.
    Any,
    /// The tool that is named.
    Tool,
    /// No tool.
    None,
}
