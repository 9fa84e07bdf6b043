//! Variables in, the settings of every crate out; all problems reported at once.
//!
//! The only reader of the environment. A setting either does what [`VARIABLES`] says, or it is not
//! there.

mod mode;
mod problem;
mod reader;
mod variables;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use z2api_stream_transform::{ModelTable, ThinkMode};
use z2api_upstream_client::Secret;
use z2api_wire::event::Dialect;

pub use mode::{PerformanceMode, UnknownMode};
pub use problem::{Problem, Problems};
pub use reader::Lookup;
pub use variables::{VARIABLES, Variable};

use reader::Reader;

/// Keys that stand in examples. Anyone knows them.
const PLACEHOLDERS: [&str; 4] = ["123456", "your-api-key", "your-api-key-here", "your-key"];

/// Everything the gateway is told at its start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// The API keys of the clients. Never empty.
    pub keys: Vec<Secret>,
    /// The only key was made up at this start, since none was set.
    pub key_is_generated: bool,
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
    /// The bounds of a request.
    pub limits: Limits,
    /// Origins that browsers may call from. Empty: any.
    pub cors_origins: Vec<String>,
    /// How to stop.
    pub shutdown: Shutdown,
    /// What to log.
    pub log: Log,
}

/// The bounds of a request.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Log {
    /// Debug lines too.
    pub debug: bool,
    /// A line for each request and each response.
    pub requests: bool,
}

/// What the command line adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// Serve a simulated upstream, on loopback unless `HOST` says otherwise.
    pub demo: bool,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub fn from_env(flags: Flags) -> Result<Self, Problems> {
        Self::from_lookup(flags, &|name| std::env::var_os(name))
    }

    /// Reads variables from anywhere.
    ///
    /// # Errors
    /// All [`Problems`] at once.
    pub fn from_lookup(flags: Flags, lookup: &Lookup<'_>) -> Result<Self, Problems> {
        let mut reader = Reader::new(lookup);
        let config = read(&mut reader, flags);
        reader.finish(config)
    }
}

fn read(from: &mut Reader<'_>, flags: Flags) -> Config {
    let listen = listen(from, flags);
    let (keys, key_is_generated) = keys(from, listen.ip());
    let performance_mode = from.parsed("PERFORMANCE_MODE", PerformanceMode::Balanced);
    let upstream = upstream(from, performance_mode, flags);
    let mut admission = z2api_admission::Settings::default();
    admission.max_in_flight = from.count("MAX_CONCURRENT_CONNECTIONS", 1000, 1..=1_000_000);
    admission.queue = from.count("CONNECTION_QUEUE_SIZE", 500, 0..=1_000_000);
    admission.queue_timeout = from.millis("QUEUE_TIMEOUT", 10_000, 1..=3_600_000);
    let models = from.file("MODELS_FILE", ModelTable::from_json);
    Config {
        listen,
        keys,
        key_is_generated,
        admission,
        performance_mode,
        think_mode: from.parsed("THINK_TAGS_MODE", ThinkMode::Think),
        models: models.unwrap_or_else(ModelTable::built_in),
        limits: limits(from, upstream.timeouts.first_event),
        upstream,
        cors_origins: cors(from),
        shutdown: Shutdown {
            delay: from.seconds("SHUTDOWN_DELAY", 0, 0..=3600),
            grace: from.seconds("SHUTDOWN_GRACE", 30, 0..=86_400),
        },
        log: Log {
            debug: from.flag("DEBUG_MODE", false),
            requests: from.flag("ENABLE_DETAILED_LOGGING", true),
        },
    }
}

fn listen(from: &mut Reader<'_>, flags: Flags) -> SocketAddr {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let default = if flags.demo { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { everywhere };
    let host = from.with("HOST", "an IP address, or localhost", |value| match value {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        address => address.parse().ok(),
    });
    let port = from.count("PORT", 8080, 0..=65_535);
    SocketAddr::new(host.unwrap_or(default), port as u16)
}

fn keys(from: &mut Reader<'_>, ip: IpAddr) -> (Vec<Secret>, bool) {
    let words = from.secret_list("DEFAULT_KEY");
    for key in &words {
        if PLACEHOLDERS.contains(&key.as_str()) && !ip.is_loopback() {
            let allowed = "a key of your own: this one stands in examples, so anyone knows it \
                           (it may be used with HOST=127.0.0.1)";
            from.secret_problem("DEFAULT_KEY", allowed);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let allowed = "keys of visible ASCII characters, separated by commas";
            from.secret_problem("DEFAULT_KEY", allowed);
        }
    }
    if words.is_empty() {
        let bytes: [u8; 24] = rand::random();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return (vec![Secret::new(format!("sk-{hex}"))], true);
    }
    (words.into_iter().map(Secret::new).collect(), false)
}

fn upstream(
    from: &mut Reader<'_>,
    mode: PerformanceMode,
    flags: Flags,
) -> z2api_upstream_client::Settings {
    let preset = mode.preset();
    let mut settings = z2api_upstream_client::Settings::default();
    if let Some(url) = from.text("UPSTREAM_URL") {
        settings.url = url;
    }
    settings.dialect = from
        .with("UPSTREAM_DIALECT", "auto, zai-web or openai", |value| match value {
            "auto" => Some(None),
            "zai-web" => Some(Some(Dialect::ZaiWeb)),
            "openai" => Some(Some(Dialect::OpenAi)),
            _ => None,
        })
        .flatten();
    settings.tokens = from.secret_list("UPSTREAM_TOKEN").into_iter().map(Secret::new).collect();
    settings.guest_tokens = from.flag("ANON_TOKEN_ENABLED", true);
    settings.allow_http = from.flag("UPSTREAM_ALLOW_HTTP", false);
    if let Some(agent) = from.text("UPSTREAM_USER_AGENT") {
        settings.user_agent = agent;
    }
    if let Some(version) = from.text("UPSTREAM_FE_VERSION") {
        settings.fe_version = version;
    }
    settings.retry.retries = from.count("MAX_RETRIES", preset.retries as usize, 0..=20) as u32;
    settings.retry.base = from.millis("RETRY_DELAY", preset.delay_ms, 0..=60_000);
    settings.retry.jitter_min = from.millis("RANDOM_DELAY_MIN", preset.jitter_ms.0, 0..=60_000);
    settings.retry.jitter_max = from.millis("RANDOM_DELAY_MAX", preset.jitter_ms.1, 0..=60_000);
    if settings.retry.jitter_min > settings.retry.jitter_max {
        let value = format!("{}", settings.retry.jitter_min.as_millis());
        from.problem("RANDOM_DELAY_MIN", &value, "no more than RANDOM_DELAY_MAX");
        settings.retry.jitter_max = settings.retry.jitter_min;
    }
    settings.timeouts.first_event =
        from.millis("REQUEST_TIMEOUT", preset.request_ms, 1..=86_400_000);
    settings.timeouts.lifetime = from.millis("STREAM_TIMEOUT", preset.stream_ms, 1..=86_400_000);
    settings.timeouts.idle = from.millis("STREAM_IDLE_TIMEOUT", 60_000, 1..=86_400_000);
    if !flags.demo
        && let Err(error) = settings.check()
    {
        from.settings_problem(&error);
    }
    settings
}

fn limits(from: &mut Reader<'_>, request: Duration) -> Limits {
    let never = from.flag("DISABLE_CONNECTION_CHECK", false);
    let interval = from.seconds("CONNECTION_CHECK_INTERVAL", 20, 1..=3600);
    Limits {
        body: from.count("MAX_BODY_MB", 32, 1..=1024) * 1024 * 1024,
        request,
        hold: from.millis("MAX_CONNECTION_TIME", 600_000, 1..=86_400_000),
        memory: from.count("MEMORY_LIMIT_MB", 2048, 16..=16_777_216) as u64 * 1024 * 1024,
        stream_buffer: from.count("STREAM_BUFFER_SIZE", 16_384, 1024..=16_777_216),
        heartbeat: (!never).then_some(interval),
    }
}

fn cors(from: &mut Reader<'_>) -> Vec<String> {
    let allowed = "origins such as https://chat.example.org, separated by commas, or *";
    let listed = from.with("CORS_ALLOW_ORIGINS", allowed, |value| {
        if value == "*" {
            return Some(Vec::new());
        }
        let origins: Vec<String> = value.split(',').map(|origin| origin.trim().into()).collect();
        let is_origin = |origin: &String| {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            host.is_some_and(|host| {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
            })
        };
        origins.iter().all(is_origin).then_some(origins)
    });
    listed.unwrap_or_default()
}

#[cfg(test)]
mod tests;
