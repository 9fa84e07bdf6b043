//! The settings, section by section.

mod callers;
mod traces;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use z2api_stream_transform::{ModelTable, ThinkMode};

use crate::mode::PerformanceMode;
use crate::peers::peers;
use crate::reader::Reader;
use crate::{Config, Flags, Limits, Log, Shutdown, Source};

use callers::{admin_key, keys, warn_of_unknown_models};
use traces::traces;
use upstream::upstream;

/// Reads everything.
pub(crate) fn read(from: &mut Reader<'_>, flags: &Flags) -> Config {
    let listen = listen(from, flags);
    let (keys, first_key, key_is_generated) = keys(from, listen.ip());
    let admin_key = admin_key(from, listen.ip(), &keys);
    let performance_mode = from.parsed("PERFORMANCE_MODE", PerformanceMode::Balanced);
    let upstream = upstream(from, performance_mode, flags);
    let models = from.file("MODELS_FILE", "built-in", ModelTable::from_json);
    let models = models.unwrap_or_else(ModelTable::built_in);
    warn_of_unknown_models(from, &keys, &models);
    let (keys_file, models_file) = (path(from, "API_KEYS_FILE"), path(from, "MODELS_FILE"));
    Config {
        listen,
        admin_listen: from.with(
            "ADMIN_ADDR",
            "none",
            "an IP address and a port, such as 127.0.0.1:9100",
            |value| value.parse().ok(),
        ),
        worker_threads: from.auto("WORKER_THREADS", 1024),
        keys,
        first_key,
        key_is_generated,
        keys_file,
        admission: admission(from),
        performance_mode,
        think_mode: from.parsed("THINK_TAGS_MODE", ThinkMode::Think),
        models,
        models_file,
        limits: limits(from, upstream.timeouts.first_event),
        peers: peers(from),
        upstream,
        cors_origins: cors(from),
        trusted_proxies: trusted_proxies(from),
        metrics: from.flag("ENABLE_METRICS", true),
        dashboard: from.flag("ENABLE_DASHBOARD", true),
        admin_key,
        shutdown: Shutdown {
            delay: from.seconds("SHUTDOWN_DELAY", 0, 0..=3600),
            grace: from.seconds("SHUTDOWN_GRACE", 30, 0..=86_400),
        },
        log: log(from),
        traces: traces(from),
        effective: Vec::new(),
        warnings: Vec::new(),
    }
}

pub(crate) fn listen(from: &mut Reader<'_>, flags: &Flags) -> SocketAddr {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let default = if flags.demo { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { everywhere };
    let allowed = "an IP address, or localhost";
    let host = from.with("HOST", &default.to_string(), allowed, |value| match value {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        address => address.parse().ok(),
    });
    if let (true, Some(shown)) = (flags.demo, from.effective.last_mut())
        && shown.source == Source::Default
    {
        shown.source = Source::Follows("--demo");
    }
    let port = from.count("PORT", 8080, 0..=65_535);
    SocketAddr::new(host.unwrap_or(default), port as u16)
}

fn admission(from: &mut Reader<'_>) -> z2api_admission::Settings {
    let mut settings = z2api_admission::Settings::default();
    settings.max_in_flight = from.count("MAX_CONCURRENT_CONNECTIONS", 1000, 1..=1_000_000);
    settings.queue = from.count("CONNECTION_QUEUE_SIZE", 500, 0..=1_000_000);
    settings.queue_timeout = from.millis("QUEUE_TIMEOUT", 10_000, 1..=3_600_000);
    settings.adaptive = from.flag("ADAPTIVE_CONCURRENCY", false);
    settings
}

fn limits(from: &mut Reader<'_>, request: Duration) -> Limits {
    let never = from.flag("DISABLE_CONNECTION_CHECK", false);
    let interval = from.seconds("CONNECTION_CHECK_INTERVAL", 20, 1..=3600);
    Limits {
        body: from.count("MAX_BODY_MB", 32, 1..=1024) * 1024 * 1024,
        responses: from.count("RESPONSES_STORE_MB", 64, 0..=65_536) as u64 * 1024 * 1024,
        request,
        hold: from.millis("MAX_CONNECTION_TIME", 600_000, 1..=86_400_000),
        memory: from.count("MEMORY_LIMIT_MB", 2048, 16..=16_777_216) as u64 * 1024 * 1024,
        stream_buffer: from.count("STREAM_BUFFER_SIZE", 16_384, 1024..=16_777_216),
        heartbeat: (!never).then_some(interval),
    }
}

fn cors(from: &mut Reader<'_>) -> Vec<String> {
    let allowed = "origins such as https://chat.example.org, separated by commas, or *";
    let listed = from.with("CORS_ALLOW_ORIGINS", "*", allowed, |value| {
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

fn trusted_proxies(from: &mut Reader<'_>) -> Vec<IpNet> {
    let allowed = "IP addresses or networks such as 10.0.0.0/8, separated by commas";
    let network = |word: &str| match word.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => word.parse().ok(),
    };
    let listed = from.with("TRUSTED_PROXIES", "none", allowed, |value| {
        value.split(',').map(|word| network(word.trim())).collect::<Option<Vec<_>>>()
    });
    listed.unwrap_or_default()
}

fn log(from: &mut Reader<'_>) -> Log {
    let debug = from.flag("DEBUG_MODE", false);
    let default = if debug { "warn,z2api=debug" } else { "warn,z2api=info" };
    let filter = from.text("RUST_LOG", default);
    if let Err(why) = z2api_observability::check_filter(&filter) {
        from.problem("RUST_LOG", &filter, &format!("directives such as {default} ({why})"));
    }
    let format = from.with("LOG_FORMAT", "json", "json or pretty", |word| word.parse().ok());
    Log {
        filter,
        format: format.unwrap_or_default(),
        requests: from.flag("ENABLE_DETAILED_LOGGING", true),
        probes: from.flag("LOG_PROBES", true),
        messages: from.flag("LOG_USER_MESSAGES", false),
        answers: from.flag("LOG_RESPONSE_CONTENT", false),
    }
}

/// The path that a variable names; its file has been read already.
pub(crate) fn path(from: &Reader<'_>, name: &str) -> Option<PathBuf> {
    let setting = from.effective.iter().find(|setting| setting.name == name)?;
    (setting.source != crate::Source::Default).then(|| PathBuf::from(&setting.value))
}
