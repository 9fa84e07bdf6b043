//! What good values mean.

use super::*;

#[test]
fn nothing_set_is_the_documented_default() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert!(config.key_is_generated && config.first_key.unwrap().expose().len() > 40);
    assert_eq!(config.upstream.timeouts.connect, Duration::from_secs(5));
    assert_eq!(config.limits.heartbeat, Some(Duration::from_secs(20)));
    assert!(config.warnings.is_empty());
}

#[test]
fn a_demo_listens_on_this_machine_unless_told_otherwise() {
    let demo = Flags { demo: true, ..Flags::default() };
    let config = Config::from_lookup(&demo, &|_| None).unwrap();
    assert_eq!(line(&config, "HOST"), "HOST=127.0.0.1 (by --demo)");
    let config = Config::from_lookup(&demo, &|name| lookup(&[("HOST", "0.0.0.0")], name)).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
}

#[test]
fn flags_are_said_in_eight_words_in_any_case() {
    for (words, meant) in [
        (["true", "1", "yes", "on", "TRUE", "Yes"], true),
        (["false", "0", "no", "off", "False", "OFF"], false),
    ] {
        for word in words {
            assert_eq!(load(&[("ENABLE_METRICS", word)]).unwrap().metrics, meant, "{word}");
        }
    }
}

#[test]
fn each_mode_has_its_numbers() {
    let ms = Duration::from_millis;
    for (mode, retries, delay, request, stream, jitter) in [
        ("fast", 1, 200, 10_000, 60_000, (0, 100)),
        ("balanced", 3, 1000, 120_000, 300_000, (100, 500)),
        ("SECURE", 5, 2000, 60_000, 600_000, (500, 1500)),
    ] {
        let config = load(&[("PERFORMANCE_MODE", mode)]).unwrap();
        let (retry, timeouts) = (config.upstream.retry, config.upstream.timeouts);
        assert_eq!((retry.retries, retry.base), (retries, ms(delay)), "{mode}");
        assert_eq!((timeouts.first_event, timeouts.lifetime), (ms(request), ms(stream)), "{mode}");
        assert_eq!((retry.jitter_min, retry.jitter_max), (ms(jitter.0), ms(jitter.1)), "{mode}");
        assert_eq!(config.limits.request, ms(request), "{mode}");
    }
}

#[test]
fn a_mode_sets_defaults_that_others_override() {
    let config = load(&[("PERFORMANCE_MODE", "fast"), ("MAX_RETRIES", "4")]).unwrap();
    assert_eq!(config.upstream.retry.retries, 4);
    assert_eq!(config.upstream.timeouts.first_event, Duration::from_secs(10));
    assert_eq!(line(&config, "MAX_RETRIES"), "MAX_RETRIES=4 (environment)");
    assert_eq!(line(&config, "RETRY_DELAY"), "RETRY_DELAY=200 (by PERFORMANCE_MODE)");
}

#[test]
fn think_modes_have_an_alias() {
    for (word, mode) in [
        ("think", ThinkMode::Think),
        ("Strip", ThinkMode::Strip),
        ("raw", ThinkMode::Raw),
        ("reasoning", ThinkMode::Reasoning),
        ("separate", ThinkMode::Reasoning),
    ] {
        assert_eq!(load(&[("THINK_TAGS_MODE", word)]).unwrap().think_mode, mode);
    }
}

#[test]
fn a_blank_value_counts_as_not_set() {
    for blank in ["", "  ", " # optional", "\"\""] {
        let config = load(&[("PORT", blank), ("UPSTREAM_TOKEN", blank)]).unwrap();
        assert_eq!(line(&config, "PORT"), "PORT=8080 (default)");
        assert!(config.upstream.tokens.is_empty());
    }
}

#[test]
fn what_holds_is_told_with_its_source_and_without_secrets() {
    let config = load(&[
        ("UPSTREAM_TOKEN", "a-token-of-mine-1234,short"),
        ("PORT", "1"),
        ("UPSTREAM_PROXY", "http://me:secret@proxy:3128"),
        ("DEBUG_MODE", "on"),
    ])
    .unwrap();
    let lines: Vec<String> = config.effective.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "PORT=1 (environment)");
    for expected in [
        "MAX_RETRIES=3 (default)",
        "UPSTREAM_TOKEN=a-to****1234,**** (environment)",
        "UPSTREAM_PROXY=http://****@proxy:3128 (environment)",
        "RUST_LOG=warn,z2api=debug (by DEBUG_MODE)",
        "DEFAULT_KEY=random (default)",
        "ADMIN_KEY=none (default)",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
    }
    assert!(!lines.concat().contains("secret"));
}

#[test]
fn a_key_for_a_model_that_is_not_there_is_a_warning() {
    let text = format!("ann {} models=GLM-4.5,GLM-45\n", "0".repeat(64));
    let file = file(&text);
    let config = load(&[("API_KEYS_FILE", path(&file))]).unwrap();
    assert_eq!(config.warnings, ["API_KEYS_FILE: ann may ask \"GLM-45\", which is no model"]);
}

#[test]
fn what_connections_may_do_is_a_number_or_auto() {
    assert_eq!(load(&[("MAX_CLIENT_CONNECTIONS", "auto")]).unwrap().peers.max, None);
    assert_eq!(load(&[("MAX_CLIENT_CONNECTIONS", "7")]).unwrap().peers.max, Some(7));
}

#[test]
fn headers_for_the_collector_are_shown_by_name_alone() {
    let headers = "authorization=Bearer of-mine, x-team=a%2Cb";
    let config = load(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers),
    ])
    .unwrap();
    let shown = line(&config, "OTEL_EXPORTER_OTLP_HEADERS");
    let wanted = "OTEL_EXPORTER_OTLP_HEADERS=authorization=****,x-team=**** (environment)";
    assert_eq!(shown, wanted);
    let traces = config.traces.unwrap();
    assert_eq!(traces.endpoint, "https://collector.example/v1/traces");
    assert_eq!(traces.headers.0[0].1, "Bearer of-mine");
    assert_eq!(traces.headers.0[1].1, "a,b");
    assert!(!format!("{traces:?}").contains("of-mine"));
}
