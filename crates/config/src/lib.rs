//! Variables and files in, the settings of every crate out; all problems reported at once.
//!
//! The only reader of the environment. A setting either does what [`VARIABLES`] says, or it is not
//! there.

mod effective;
mod env_file;
mod keys;
mod mode;
mod peers;
mod plain;
mod problem;
mod reader;
mod sections;
mod variables;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use z2api_observability::{LogFormat, TraceSettings};
use z2api_stream_transform::{ModelTable, ThinkMode};
use z2api_upstream_client::Secret;

pub use effective::{Effective, Source};
pub use keys::{ApiKey, digest, keygen};
pub use mode::{PerformanceMode, UnknownMode};
pub use peers::{Peers, TlsFiles};
pub use problem::{Problem, Problems};
pub use reader::Lookup;
pub use variables::{VARIABLES, Variable};

use effective::tell_leaders;
use env_file::EnvFile;
use reader::Reader;

/// Everything the gateway is told at its start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where the pages for the operator are served, if not there.
    pub admin_listen: Option<SocketAddr>,
    /// How many threads serve connections. None: as many as there are cores to use.
    pub worker_threads: Option<usize>,
    /// The API keys of the clients. Never empty.
    pub keys: Vec<ApiKey>,
    /// The first key of `DEFAULT_KEY`, or the one made up at this start.
    pub first_key: Option<Secret>,
    /// `first_key` was made up, since no key was set.
    pub key_is_generated: bool,
    /// The file of `API_KEYS_FILE`.
    pub keys_file: Option<PathBuf>,
    /// How to ask the upstream.
    pub upstream: z2api_upstream_client::Settings,
    /// How many requests may be in flight and wait.
    pub admission: z2api_admission::Settings,
    /// The named set of defaults that retries and timeouts started from.
    pub performance_mode: PerformanceMode,
    /// How thinking is shown unless a request says otherwise.
    pub think_mode: ThinkMode,
    /// What clients may ask for.
    pub models: ModelTable,
    /// The file of `MODELS_FILE`.
    pub models_file: Option<PathBuf>,
    /// The bounds of a request.
    pub limits: Limits,
    /// How client connections are treated.
    pub peers: Peers,
    /// Origins that browsers may call from. Empty: any.
    pub cors_origins: Vec<String>,
    /// Peers whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether to serve `/metrics`, and to log the status from time to time.
    pub metrics: bool,
    /// Whether to serve the live page.
    pub dashboard: bool,
    /// The key of `/status`, `/metrics` and the live page's numbers. None: open.
    pub admin_key: Option<Secret>,
    /// How to stop.
    pub shutdown: Shutdown,
    /// What to log.
    pub log: Log,
    /// Where traces go; None for nowhere.
    pub traces: Option<TraceSettings>,
    /// All settings as they hold, in the order of [`VARIABLES`]; secrets masked.
    pub effective: Vec<Effective>,
    /// What is odd but can be lived with.
    pub warnings: Vec<String>,
}

/// The bounds of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body: usize,
    /// A request that is not streamed, in all.
    pub request: Duration,
    /// How long a request may hold its slot.
    pub hold: Duration,
    /// Resident memory above which new chat requests are refused, in bytes.
    pub memory: u64,
    /// What answers of the Responses API may take that are kept, in bytes.
    pub responses: u64,
    /// What a stream may hold between upstream and client, in bytes.
    pub stream_buffer: usize,
    /// Silence after which a stream gets a comment. None: never.
    pub heartbeat: Option<Duration>,
}

/// How to stop.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Shutdown {
    /// How long to go on serving after the signal.
    pub delay: Duration,
    /// How long running requests may take after that.
    pub grace: Duration,
}

/// What to log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// Which lines of the libraries are wanted, in the words of `RUST_LOG`.
    pub filter: String,
    /// How lines are written.
    pub format: LogFormat,
    /// A line for each request and each response.
    pub requests: bool,
    /// Of those who ask how the gateway is, too.
    pub probes: bool,
    /// The messages too.
    pub messages: bool,
    /// The answers too.
    pub answers: bool,
}

/// What the command line adds.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Serve a simulated upstream, on loopback unless `HOST` says otherwise.
    pub demo: bool,
    /// A file of settings in place of `.env` in the working folder.
    pub env_file: Option<PathBuf>,
}

impl Config {
    /// Reads the environment of the process, and below it a file of settings: the one of the
    /// flags, or `.env` in the working folder if it is there.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub fn load(flags: &Flags) -> Result<Self, Problems> {
        read(flags, &environment, &EnvFile::read(flags.env_file.as_deref()))
    }

    /// Reads variables from anywhere, and no file.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub fn from_lookup(flags: &Flags, lookup: &Lookup<'_>) -> Result<Self, Problems> {
        read(flags, lookup, &EnvFile::default())
    }

    /// The files that, changed, should be read again.
    pub fn watched_files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.peers.tls.iter().flat_map(|tls| [tls.cert.as_path(), tls.key.as_path()]);
        let files = [&self.keys_file, &self.models_file].into_iter().flatten();
        files.map(PathBuf::as_path).chain(tls)
    }
}

/// Where the gateway of this environment listens. Nothing else of the settings matters, and no file
/// but that of `flags` is read: a gateway may well run on while a file of keys is being mended.
///
/// # Errors
/// [`Problems`] of `HOST` and `PORT`.
pub fn listen_address(flags: &Flags) -> Result<SocketAddr, Problems> {
    let file = EnvFile::read(flags.env_file.as_deref());
    let mut reader = Reader::new(&environment, &file);
    let listen = sections::listen(&mut reader, flags);
    if reader.problems.is_empty() { Ok(listen) } else { Err(Problems(reader.problems)) }
}

/// Whether the gateway of this environment speaks TLS, by its settings; its files are not read.
pub fn speaks_tls(flags: &Flags) -> bool {
    let file = EnvFile::read(flags.env_file.as_deref());
    !Reader::new(&environment, &file).text("TLS_CERT_FILE", "").is_empty()
}

fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn read(flags: &Flags, lookup: &Lookup<'_>, file: &EnvFile) -> Result<Config, Problems> {
    let mut reader = Reader::new(lookup, file);
    let mut config = sections::read(&mut reader, flags);
    let Reader { problems, mut effective, warnings, .. } = reader;
    let problems = all_problems(file, problems, &effective);
    let place = |name: &str| VARIABLES.iter().position(|variable| variable.name == name);
    debug_assert!(effective.iter().all(|setting| place(setting.name).is_some()), "{effective:?}");
    effective.sort_by_key(|setting| place(setting.name));
    tell_leaders(&mut effective);
    config.effective = effective;
    config.warnings = [file.warnings.clone(), warnings].concat();
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

/// The file's problems, then the variables'. What is wrong with a variable that is not set may come
/// of what could not be read.
fn all_problems(file: &EnvFile, rest: Vec<Problem>, effective: &[Effective]) -> Vec<Problem> {
    let is_set = |problem: &Problem| {
        let set = |s: &Effective| s.name == problem.variable && s.source != Source::Default;
        file.problems.is_empty() || effective.iter().any(set)
    };
    file.problems.iter().cloned().chain(rest.into_iter().filter(is_set)).collect()
}

#[cfg(test)]
mod tests;
