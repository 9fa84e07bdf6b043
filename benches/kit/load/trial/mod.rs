//! Trials: each starts a gateway and a simulated upstream, makes trouble, and tells whether the
//! gateway held.

mod ask;
mod deaths;
mod hangups;
mod many;
mod overload;
mod restarts;
mod soak;
mod stage;
mod stuck;

use std::fmt;
use std::io;

use clap::Subcommand;

use crate::report::Report;

#[derive(Debug, Subcommand)]
pub(crate) enum Trial {
    /// Ten thousand slow streams at once, or as many as the limit of open files allows
    Many(many::Many),
    /// Ten times as many requests as the gateway has slots for
    Overload(overload::Overload),
    /// Clients that hang up at random moments
    Hangups(hangups::Hangups),
    /// An upstream that dies under its streams
    Deaths(deaths::Deaths),
    /// Clients that do not read, say nothing or drip, beside good ones
    Stuck(stuck::Stuck),
    /// Restarts behind a socket that is handed over, under load
    Restarts(restarts::Restarts),
    /// Very many requests, a tenth of them with faults: what is left behind
    Soak(soak::Soak),
}

/// What a trial found: figures, and whatever did not hold.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) report: Report,
    failed: Vec<String>,
}

impl Trial {
    pub(crate) async fn run(&self) -> io::Result<Verdict> {
        // Also for the programs that are started.
        rlimit::increase_nofile_limit(u64::MAX)?;
        match self {
            Self::Many(options) => many::run(options).await,
            Self::Overload(options) => overload::run(options).await,
            Self::Hangups(options) => hangups::run(options).await,
            Self::Deaths(options) => deaths::run(options).await,
            Self::Stuck(options) => stuck::run(options).await,
            Self::Restarts(options) => restarts::run(options).await,
            Self::Soak(options) => soak::run(options).await,
        }
    }
}

impl Verdict {
    /// Holds, or the trial has failed.
    pub(crate) fn must(&mut self, what: impl Into<String>, holds: bool) {
        if !holds {
            self.failed.push(what.into());
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.report)?;
        match self.passed() {
            true => write!(f, "PASS"),
            false => write!(f, "FAIL: not {}", self.failed.join("; not ")),
        }
    }
}
