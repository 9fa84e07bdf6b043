//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use z2api_config::Flags;

/// A gateway between OpenAI-style clients and Z.ai's GLM models. Settings are environment
/// variables, or lines of a `.env` file; the README lists them.
#[derive(Debug, Clone, Parser)]
#[command(about, version, long_version = concat!(
    env!("CARGO_PKG_VERSION"), "\ncommit ", env!("Z2API_COMMIT"), "\nbuilt ", env!("Z2API_BUILD_DATE"),
))]
pub struct Cli {
    /// Serve a simulated upstream on a loopback port: no token, no network needed.
    #[arg(long)]
    pub demo: bool,
    /// Read settings from this file in place of `.env` in the working folder. The environment
    /// wins over it.
    #[arg(long, value_name = "FILE", global = true)]
    pub env_file: Option<PathBuf>,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print the settings as they hold, each with where it came from. Exits with 78 if they are bad.
    Check,
    /// Ask the gateway on this machine whether it serves. Exits with 0 if it does.
    Healthcheck,
    /// Make an API key, and its line for the file of API_KEYS_FILE.
    Keygen {
        /// Whose key it is.
        name: String,
    },
}

impl Cli {
    /// What the command line adds to the settings.
    pub fn flags(&self) -> Flags {
        Flags { demo: self.demo, env_file: self.env_file.clone() }
    }
}
