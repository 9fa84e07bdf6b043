//! What is wrong with the settings, a line each.

use std::fmt;

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value}: {why}")]
pub struct Problem {
    /// The variable's name.
    pub variable: &'static str,
    /// Its value, quoted; stars if it is a secret.
    pub value: String,
    /// What is allowed.
    pub why: String,
}

/// All problems of the settings. Shown as a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What a process with bad settings exits with: `EX_CONFIG` of `sysexits.h`.
    pub const EXIT_CODE: u8 = 78;
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
