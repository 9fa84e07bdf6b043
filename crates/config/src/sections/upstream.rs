//! How to ask the upstream.

use std::time::Duration;

use z2api_upstream_client::{Secret, Settings, SettingsError};
use z2api_wire::event::Dialect;

use crate::Flags;
use crate::mode::PerformanceMode;
use crate::reader::Reader;

pub(super) fn upstream(from: &mut Reader<'_>, mode: PerformanceMode, flags: &Flags) -> Settings {
    let preset = mode.preset();
    let mut settings = Settings::default();
    settings.url = from.url("UPSTREAM_URL", &settings.url).unwrap_or(settings.url);
    let allowed = "auto, zai-web or openai";
    settings.dialect = from
        .with("UPSTREAM_DIALECT", "auto", allowed, |value| match value {
            "auto" => Some(None),
            "zai-web" => Some(Some(Dialect::ZaiWeb)),
            "openai" => Some(Some(Dialect::OpenAi)),
            _ => None,
        })
        .flatten();
    settings.tokens = from.secrets("UPSTREAM_TOKEN", "none").into_iter().map(Secret::new).collect();
    settings.guest_tokens = from.flag("ANON_TOKEN_ENABLED", true);
    settings.allow_http = from.flag("UPSTREAM_ALLOW_HTTP", false);
    settings.proxy = from.url("UPSTREAM_PROXY", "none").map(Secret::new);
    settings.http2 = from.flag("UPSTREAM_HTTP2", true);
    settings.user_agent = from.text("UPSTREAM_USER_AGENT", &settings.user_agent);
    settings.fe_version = from.text("UPSTREAM_FE_VERSION", &settings.fe_version);
    settings.accept_language = from.text("UPSTREAM_ACCEPT_LANGUAGE", &settings.accept_language);
    settings.retry.retries = from.count("MAX_RETRIES", preset.retries as usize, 0..=20) as u32;
    settings.retry.base = from.millis("RETRY_DELAY", preset.delay_ms, 0..=60_000);
    (settings.retry.jitter_min, settings.retry.jitter_max) = jitter(from, preset.jitter_ms);
    settings.timeouts.connect = from.millis("UPSTREAM_CONNECT_TIMEOUT", 5000, 1..=3_600_000);
    settings.timeouts.first_event =
        from.millis("REQUEST_TIMEOUT", preset.request_ms, 1..=86_400_000);
    settings.timeouts.lifetime = from.millis("STREAM_TIMEOUT", preset.stream_ms, 1..=86_400_000);
    settings.timeouts.idle = from.millis("STREAM_IDLE_TIMEOUT", 60_000, 1..=86_400_000);
    if !flags.demo {
        check_upstream(from, &settings);
    }
    settings
}

fn jitter(from: &mut Reader<'_>, (least, most): (u64, u64)) -> (Duration, Duration) {
    let min = from.millis("RANDOM_DELAY_MIN", least, 0..=60_000);
    let max = from.millis("RANDOM_DELAY_MAX", most, 0..=60_000);
    if min > max {
        let why = format!("must be no more than RANDOM_DELAY_MAX, which is {}", max.as_millis());
        from.shown_problem("RANDOM_DELAY_MIN", why);
    }
    (min, max.max(min))
}

/// Tells all that is wrong with the upstream's settings. The client names one problem at a time, so
/// what it has named is put right and it is asked again.
fn check_upstream(from: &mut Reader<'_>, settings: &Settings) {
    let good = Settings::default();
    let mut rest = settings.clone();
    // Each round puts one setting right; there are six.
    for _ in 0..6 {
        use SettingsError as E;
        let Err(error) = rest.check() else { break };
        let variable = match &error {
            E::NoToken { .. } | E::Header { setting: "token" } => {
                rest.tokens = vec![Secret::new("good")];
                "UPSTREAM_TOKEN"
            }
            E::Header { setting: "user_agent" } => {
                rest.user_agent.clone_from(&good.user_agent);
                "UPSTREAM_USER_AGENT"
            }
            E::Header { setting: "accept_language" } => {
                rest.accept_language.clone_from(&good.accept_language);
                "UPSTREAM_ACCEPT_LANGUAGE"
            }
            E::Header { .. } => {
                rest.fe_version.clone_from(&good.fe_version);
                "UPSTREAM_FE_VERSION"
            }
            E::Proxy { .. } => {
                rest.proxy = None;
                "UPSTREAM_PROXY"
            }
            _ => {
                rest.url.clone_from(&good.url);
                "UPSTREAM_URL"
            }
        };
        if from.problems.iter().all(|known| known.variable != variable) {
            from.shown_problem(variable, error.to_string());
        }
    }
    if rest.url == settings.url && !names_chats(&rest.url) {
        let why = "must be the whole URL, up to /chat/completions".to_owned();
        from.shown_problem("UPSTREAM_URL", why);
    }
}

/// Whether the path is that of chats, not a base URL for clients that put the rest behind it.
fn names_chats(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').ends_with("/chat/completions")
}
