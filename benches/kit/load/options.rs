//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::api::Api;
use crate::trial::Trial;

/// Loads a server that answers chat requests, and tells what that cost it.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// So many connections, each asking again once it has its answer
    Closed(Closed),
    /// So many requests a second, whether or not the answers keep up
    Rate(Rate),
    /// So many streams at once, held open for some time; with `--read-rate`, slow readers
    Hold(Hold),
    /// A program, until it answers: how long that takes
    Start(Start),
    /// Starts a gateway of its own, makes trouble, and tells whether it held
    #[command(subcommand)]
    Trial(Trial),
}

/// Whom to ask, for what, and what the answer must be.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Where the server listens
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The path to post to; its end tells the API
    #[arg(long, default_value = "/v1/chat/completions")]
    pub(crate) path: String,
    /// The API key
    #[arg(long, default_value = "sk-load-0123456789abcdef")]
    pub(crate) key: String,
    /// The model to ask for
    #[arg(long, default_value = "GLM-4.5")]
    pub(crate) model: String,
    /// Ask for an answer in one piece
    #[arg(long)]
    pub(crate) whole: bool,
    /// The answer is the simulated upstream's text of so many bytes (its `--bytes`)
    #[arg(long, value_name = "N")]
    pub(crate) bytes: usize,
    /// The seed of that text (its `--seed`)
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Whose CPU time and memory to tell, with its child processes
    #[arg(long)]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Closed {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many ask at once
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// How many requests in all
    #[arg(long, default_value_t = 1000)]
    pub(crate) requests: usize,
    /// How many requests before those that count
    #[arg(long, default_value_t = 100)]
    pub(crate) warm_up: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Rate {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Requests a second
    #[arg(long, default_value_t = 100.0)]
    pub(crate) per_second: f64,
    /// For how long, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many streams
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: usize,
    /// How many to open a second
    #[arg(long, default_value_t = 1000.0)]
    pub(crate) per_second: f64,
    /// For how long to hold them once all have begun, in seconds
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Read at most so many bytes a second from each stream; 0 reads all there is
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) read_rate: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Where it will listen
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The path to get
    #[arg(long, default_value = "/health")]
    pub(crate) path: String,
    /// How often
    #[arg(long, default_value_t = 10)]
    pub(crate) times: usize,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

impl Target {
    /// The request, ready to be sent.
    pub(crate) fn request(&self) -> Vec<u8> {
        let body = Api::of(&self.path).body(&self.model, !self.whole);
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            self.key,
            body.len()
        )
        .into_bytes()
    }
}

impl Rate {
    /// Between two requests.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}
