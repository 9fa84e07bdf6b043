//! How the thinking of an answer is shown.

use std::fmt;
use std::str::FromStr;

/// How the thinking is shown. R is the thinking, A the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThinkMode {
    /// `content` is `<think>\n` R `\n</think>\n\n` A; without thinking there are no tags.
    #[default]
    Think,
    /// `content` is A; the thinking is left out.
    Strip,
    /// The upstream's own markup, once, then A.
    Raw,
    /// `reasoning_content` is R, `content` is A.
    Reasoning,
}

impl ThinkMode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Think, Self::Strip, Self::Raw, Self::Reasoning];

    /// The mode's name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Think => "think",
            Self::Strip => "strip",
            Self::Raw => "raw",
            Self::Reasoning => "reasoning",
        }
    }
}

impl fmt::Display for ThinkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of think, strip, raw, reasoning (or separate, the same as reasoning)")]
pub struct UnknownThinkMode;

impl FromStr for ThinkMode {
    type Err = UnknownThinkMode;

    fn from_str(word: &str) -> Result<Self, UnknownThinkMode> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "think" => Self::Think,
            "strip" => Self::Strip,
            "raw" => Self::Raw,
            "reasoning" | "separate" => Self::Reasoning,
            _ => return Err(UnknownThinkMode),
        })
    }
}
