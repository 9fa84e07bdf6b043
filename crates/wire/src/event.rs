//! What the upstream says, one event at a time, whichever dialect it speaks.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Which protocol the upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The web chat's own protocol: `POST …/api/chat/completions`, phases, edits, guest tokens.
    ZaiWeb,
    /// The official, OpenAI-compatible API, and any server of that shape.
    OpenAi,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZaiWeb => "zai-web",
            Self::OpenAi => "openai",
        })
    }
}

/// What a piece of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The model thinks.
    Thinking,
    /// The model answers.
    Answer,
    /// Markup of a tool that the upstream runs by itself. Not answer text.
    ToolCall,
    /// Output of such a tool. Not answer text.
    ToolResponse,
    /// Book-keeping at the end of a hop: a last rewrite of the answer, or the end of a tool block.
    Other,
}

/// One thing the upstream said. Borrows from the event it was decoded from.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Text to append.
    Text {
        /// What the text belongs to.
        phase: Phase,
        /// The text, unescaped.
        text: Cow<'a, str>,
    },
    /// The message so far is cut at `index` and `text` appended. `zai-web` only. The message
    /// includes the markup of the thinking.
    Edit {
        /// What the appended text belongs to.
        phase: Phase,
        /// Where to cut, in UTF-16 code units from the start of the message (the web site's
        /// script uses `substring`). None replaces the whole message.
        index: Option<usize>,
        /// The text to append, unescaped.
        text: Cow<'a, str>,
    },
    /// A piece of a call of one of the client's tools.
    ToolCall(ToolCallDelta<'a>),
    /// What the upstream's own search has found (`openai`; in `zai-web` it is tool output).
    Search(Vec<SearchResult<'a>>),
    /// Token counts. A later one replaces an earlier one.
    Usage(Usage),
    /// Why the model stopped. Not yet the end of the stream.
    Finish(FinishReason),
    /// The upstream refuses or gives up. Nothing of use follows.
    Error(Fault),
    /// A shape this version does not know, named for the count of such. Carries no answer text.
    Unknown(Cow<'a, str>),
    /// The upstream's end mark.
    End,
}

impl Event<'_> {
    /// Copies what is borrowed.
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Event::Text { phase, text } => Event::Text { phase, text: own(text) },
            Event::Edit { phase, index, text } => Event::Edit { phase, index, text: own(text) },
            Event::ToolCall(call) => Event::ToolCall(ToolCallDelta {
                index: call.index,
                id: call.id.map(own),
                name: call.name.map(own),
                arguments: own(call.arguments),
            }),
            Event::Search(results) => {
                Event::Search(results.into_iter().map(SearchResult::into_owned).collect())
            }
            Event::Usage(usage) => Event::Usage(usage),
            Event::Finish(reason) => Event::Finish(reason),
            Event::Error(fault) => Event::Error(fault),
            Event::Unknown(shape) => Event::Unknown(own(shape)),
            Event::End => Event::End,
        }
    }
}

/// A page that the upstream's search has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchResult<'a> {
    /// What an answer cites it by.
    pub name: Cow<'a, str>,
    /// Its title; may be empty.
    pub title: Cow<'a, str>,
    /// Where it is.
    pub url: Cow<'a, str>,
}

impl SearchResult<'_> {
    fn into_owned(self) -> SearchResult<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        SearchResult { name: own(self.name), title: own(self.title), url: own(self.url) }
    }
}

/// A piece of a call of one of the client's tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCallDelta<'a> {
    /// Which call of the answer, counted from 0.
    pub index: u32,
    /// The call's id; on its first piece.
    pub id: Option<Cow<'a, str>>,
    /// The function's name; on the first piece.
    pub name: Option<Cow<'a, str>>,
    /// A piece of the arguments, which together are JSON text.
    pub arguments: Cow<'a, str>,
}

/// Why the model stopped, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It had said everything, or met a stop word.
    Stop,
    /// It ran into the token limit.
    Length,
    /// The model's context is full. OpenAI has no word of its own for that.
    #[serde(rename = "length")]
    ContextFull,
    /// It wants tools to be called.
    ToolCalls,
    /// A filter stopped it.
    ContentFilter,
}

impl FinishReason {
    /// The word OpenAI uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length | Self::ContextFull => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }

    /// Whether it ran out of room, so that its last words may be cut in two.
    pub fn is_cut(self) -> bool {
        match self {
            Self::Length | Self::ContextFull => true,
            Self::Stop | Self::ToolCalls | Self::ContentFilter => false,
        }
    }
}

/// Token counts as the upstream reports them. What it does not report is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// How the prompt's tokens divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// How the answer's tokens divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionTokensDetails>,
}

/// How the prompt's tokens divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTokensDetails {
    /// Tokens that the upstream had in its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
}

/// How the answer's tokens divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionTokensDetails {
    /// Tokens spent on thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

/// Usage as it arrives: any part may be missing.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct ReportedUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptTokensDetails>,
    completion_tokens_details: Option<CompletionTokensDetails>,
}

impl ReportedUsage {
    /// A count is never invented: without both parts there is no usage. Their sum is arithmetic.
    pub(crate) fn complete(self) -> Option<Usage> {
        let (prompt_tokens, completion_tokens) = (self.prompt_tokens?, self.completion_tokens?);
        Some(Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: self
                .total_tokens
                .unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
            prompt_tokens_details: self
                .prompt_tokens_details
                .filter(|details| details.cached_tokens.is_some()),
            completion_tokens_details: self
                .completion_tokens_details
                .filter(|details| details.reasoning_tokens.is_some()),
        })
    }
}
