//! The command line.

use clap::Parser;
use z2api_config::Flags;

/// A gateway between OpenAI-style clients and Z.ai's GLM models. Settings are environment
/// variables; the README lists them.
#[derive(Debug, Clone, Copy, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Serve a simulated upstream on a loopback port: no token, no network needed.
    #[arg(long)]
    pub demo: bool,
}

impl Cli {
    /// What the command line adds to the settings.
    pub fn flags(self) -> Flags {
        Flags { demo: self.demo }
    }
}
