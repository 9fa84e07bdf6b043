//! The three named sets of defaults for retries and timeouts.

use std::fmt;
use std::str::FromStr;

/// A named set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerformanceMode {
    /// Fail early.
    Fast,
    /// The default.
    Balanced,
    /// Try long and patiently.
    Secure,
}

/// The defaults of a mode. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preset {
    pub(crate) retries: u32,
    pub(crate) delay_ms: u64,
    pub(crate) request_ms: u64,
    pub(crate) stream_ms: u64,
    pub(crate) jitter_ms: (u64, u64),
}

impl PerformanceMode {
    pub(crate) fn preset(self) -> Preset {
        let (retries, delay_ms, request_ms, stream_ms, jitter_ms) = match self {
            Self::Fast => (1, 200, 10_000, 60_000, (0, 100)),
            Self::Balanced => (3, 1000, 120_000, 300_000, (100, 500)),
            Self::Secure => (5, 2000, 60_000, 600_000, (500, 1500)),
        };
        Preset { retries, delay_ms, request_ms, stream_ms, jitter_ms }
    }

    /// The mode's name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Secure => "secure",
        }
    }
}

impl fmt::Display for PerformanceMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of fast, balanced, secure")]
pub struct UnknownMode;

impl FromStr for PerformanceMode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        match word.to_ascii_lowercase().as_str() {
            "fast" => Ok(Self::Fast),
            "balanced" => Ok(Self::Balanced),
            "secure" => Ok(Self::Secure),
            _ => Err(UnknownMode),
        }
    }
}
