//! Loads a server that answers chat requests, checks every byte it answers, and tells what that
//! cost the server: one line of JSON for each run.

mod api;
mod check;
mod closed;
mod connection;
mod framing;
mod hold;
mod options;
mod process;
mod program;
mod rate;
mod report;
mod start;
mod trial;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::options::{Options, Run};

/// One thread: what it takes from the machine is known, and it never waits for itself.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    let report = match Options::parse().run {
        Run::Closed(options) => closed::run(&options).await?,
        Run::Rate(options) => rate::run(&options).await?,
        Run::Hold(options) => hold::run(&options).await?,
        Run::Start(options) => start::run(&options).await?,
        Run::Trial(trial) => {
            let verdict = trial.run().await?;
            println!("{verdict}");
            return Ok(if verdict.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    };
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}
