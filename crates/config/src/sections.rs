//! The settings, section by section.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use z2api_stream_transform::{ModelTable, ThinkMode};
use z2api_upstream_client::Secret;
use z2api_wire::event::Dialect;

use crate::keys::{ApiKey, random_key, read_keys};
use crate::mode::PerformanceMode;
use crate::reader::Reader;
use crate::{Config, Flags, Limits, Log, Shutdown};

/// Keys that stand in examples. Anyone knows them.
const PLACEHOLDERS: [&str; 4] = ["123456", "your-api-key", "your-api-key-here", "your-key"];

/// Reads everything.
pub(crate) fn read(from: &mut Reader<'_>, flags: &Flags) -> Config {
    let listen = listen(from, flags);
    let (keys, first_key, key_is_generated) = keys(from, listen.ip());
    let performance_mode = from.parsed("PERFORMANCE_MODE", PerformanceMode::Balanced);
    let upstream = upstream(from, performance_mode, flags);
    let models = from.file("MODELS_FILE", "built-in", ModelTable::from_json);
    let (keys_file, models_file) = (path(from, "API_KEYS_FILE"), path(from, "MODELS_FILE"));
    Config {
        listen,
        keys,
        first_key,
        key_is_generated,
        keys_file,
        admission: admission(from),
        performance_mode,
        think_mode: from.parsed("THINK_TAGS_MODE", ThinkMode::Think),
        models: models.unwrap_or_else(ModelTable::built_in),
        models_file,
        limits: limits(from, upstream.timeouts.first_event),
        upstream,
        cors_origins: cors(from),
        trusted_proxies: trusted_proxies(from),
        metrics: from.flag("ENABLE_METRICS", true),
        admin_key: admin_key(from),
        shutdown: Shutdown {
            delay: from.seconds("SHUTDOWN_DELAY", 0, 0..=3600),
            grace: from.seconds("SHUTDOWN_GRACE", 30, 0..=86_400),
        },
        log: log(from),
        effective: Vec::new(),
        warnings: Vec::new(),
    }
}

fn listen(from: &mut Reader<'_>, flags: &Flags) -> SocketAddr {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let default = if flags.demo { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { everywhere };
    let allowed = "an IP address, or localhost";
    let host = from.with("HOST", &default.to_string(), allowed, |value| match value {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        address => address.parse().ok(),
    });
    let port = from.count("PORT", 8080, 0..=65_535);
    SocketAddr::new(host.unwrap_or(default), port as u16)
}

/// All keys, the first of `DEFAULT_KEY`, and whether that was made up.
fn keys(from: &mut Reader<'_>, ip: IpAddr) -> (Vec<ApiKey>, Option<Secret>, bool) {
    let words = from.secrets("DEFAULT_KEY");
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
    let words: Vec<Secret> = words.into_iter().map(Secret::new).collect();
    let mut keys: Vec<ApiKey> = words.iter().map(ApiKey::unlimited).collect();
    keys.extend(from.file("API_KEYS_FILE", "none", read_keys).unwrap_or_default());
    if keys.is_empty() {
        let key = random_key();
        return (vec![ApiKey::unlimited(&key)], Some(key), true);
    }
    (keys, words.into_iter().next(), false)
}

fn upstream(
    from: &mut Reader<'_>,
    mode: PerformanceMode,
    flags: &Flags,
) -> z2api_upstream_client::Settings {
    let preset = mode.preset();
    let mut settings = z2api_upstream_client::Settings::default();
    settings.url = from.text("UPSTREAM_URL", &settings.url);
    let allowed = "auto, zai-web or openai";
    settings.dialect = from
        .with("UPSTREAM_DIALECT", "auto", allowed, |value| match value {
            "auto" => Some(None),
            "zai-web" => Some(Some(Dialect::ZaiWeb)),
            "openai" => Some(Some(Dialect::OpenAi)),
            _ => None,
        })
        .flatten();
    settings.tokens = from.secrets("UPSTREAM_TOKEN").into_iter().map(Secret::new).collect();
    settings.guest_tokens = from.flag("ANON_TOKEN_ENABLED", true);
    settings.allow_http = from.flag("UPSTREAM_ALLOW_HTTP", false);
    settings.user_agent = from.text("UPSTREAM_USER_AGENT", &settings.user_agent);
    settings.fe_version = from.text("UPSTREAM_FE_VERSION", &settings.fe_version);
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

fn admission(from: &mut Reader<'_>) -> z2api_admission::Settings {
    let mut settings = z2api_admission::Settings::default();
    settings.max_in_flight = from.count("MAX_CONCURRENT_CONNECTIONS", 1000, 1..=1_000_000);
    settings.queue = from.count("CONNECTION_QUEUE_SIZE", 500, 0..=1_000_000);
    settings.queue_timeout = from.millis("QUEUE_TIMEOUT", 10_000, 1..=3_600_000);
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

fn trusted_proxies(from: &mut Reader<'_>) -> Vec<IpAddr> {
    let allowed = "IP addresses, separated by commas";
    let listed = from.with("TRUSTED_PROXIES", "none", allowed, |value| {
        value.split(',').map(|address| address.trim().parse().ok()).collect::<Option<Vec<_>>>()
    });
    listed.unwrap_or_default()
}

fn admin_key(from: &mut Reader<'_>) -> Option<Secret> {
    let mut words = from.secrets("ADMIN_KEY");
    if words.len() > 1 {
        from.secret_problem("ADMIN_KEY", "one key, without commas");
    }
    words.pop().map(Secret::new)
}

fn log(from: &mut Reader<'_>) -> Log {
    let debug = from.flag("DEBUG_MODE", false);
    let default = if debug { "warn,z2api=debug" } else { "warn,z2api=info" };
    let filter = from.text("RUST_LOG", default);
    if let Err(why) = z2api_observability::check_filter(&filter) {
        from.problem("RUST_LOG", &filter, &format!("directives such as {default} ({why})"));
    }
    Log {
        filter,
        requests: from.flag("ENABLE_DETAILED_LOGGING", true),
        messages: from.flag("LOG_USER_MESSAGES", false),
        answers: from.flag("LOG_RESPONSE_CONTENT", false),
    }
}

/// The path that a variable names; its file has been read already.
fn path(from: &Reader<'_>, name: &str) -> Option<PathBuf> {
    let setting = from.effective.iter().find(|setting| setting.name == name)?;
    (setting.source != crate::Source::Default).then(|| PathBuf::from(&setting.value))
}
