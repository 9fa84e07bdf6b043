//! Each kind of bad value, and what is said of it.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;

use super::*;

/// Settings, and the one line that is said of them.
fn check(variables: &[(&str, &str)], line: &str) {
    let problems = load(variables).expect_err(line).to_string();
    assert_eq!(problems, line, "{variables:?}");
}

const FLAG: &str = "must be true or false (also 1, 0, yes, no, on, off)";
const KEYS: &str = "must be of visible ASCII characters; several are separated by commas";
const ENDPOINT: &str = "must be a URL such as http://127.0.0.1:4318, without a password or a query";
const OWN: &str = "must be a key of your own: this one stands in examples, so anyone knows it (it \
                   may be used with HOST=127.0.0.1)";

/// Variable, value, and what is said of it: bad whatever else is set.
const BAD: &[(&str, &str, &str)] = &[
    ("PORT", "80x", "must be a whole number from 0 to 65535"),
    ("PORT", "65536", "must be a whole number from 0 to 65535"),
    ("PORT", "-1", "must be a whole number from 0 to 65535"),
    ("PORT", "80 80", "must be a whole number from 0 to 65535"),
    ("HOST", "example.org", "must be an IP address, or localhost"),
    ("UPSTREAM_DIALECT", "french", "must be auto, zai-web or openai"),
    ("ANON_TOKEN_ENABLED", "maybe", FLAG),
    ("UPSTREAM_ALLOW_HTTP", "2", FLAG),
    (
        "UPSTREAM_PROXY",
        "proxy.example:3128",
        "the proxy is neither http, https, socks5 nor socks5h; it must look like http://HOST:PORT or socks5://HOST:PORT",
    ),
    ("UPSTREAM_HTTP2", "2", FLAG),
    ("UPSTREAM_CONNECT_TIMEOUT", "0", "must be a whole number from 1 to 3600000 (milliseconds)"),
    (
        "UPSTREAM_USER_AGENT",
        "a\u{7f}b",
        "user_agent holds characters that cannot stand in an HTTP header",
    ),
    (
        "UPSTREAM_FE_VERSION",
        "a\u{7f}b",
        "fe_version holds characters that cannot stand in an HTTP header",
    ),
    (
        "UPSTREAM_ACCEPT_LANGUAGE",
        "a\u{7f}b",
        "accept_language holds characters that cannot stand in an HTTP header",
    ),
    ("PERFORMANCE_MODE", "faster", "must be one of fast, balanced, secure"),
    ("MAX_RETRIES", "21", "must be a whole number from 0 to 20"),
    ("RETRY_DELAY", "1.5", "must be a whole number from 0 to 60000 (milliseconds)"),
    ("REQUEST_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("STREAM_TIMEOUT", "5m", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("STREAM_IDLE_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("RANDOM_DELAY_MIN", "600", "must be no more than RANDOM_DELAY_MAX, which is 500"),
    ("RANDOM_DELAY_MAX", "60001", "must be a whole number from 0 to 60000 (milliseconds)"),
    ("MAX_CONCURRENT_CONNECTIONS", "0", "must be a whole number from 1 to 1000000"),
    ("CONNECTION_QUEUE_SIZE", "many", "must be a whole number from 0 to 1000000"),
    ("QUEUE_TIMEOUT", "0", "must be a whole number from 1 to 3600000 (milliseconds)"),
    ("ADAPTIVE_CONCURRENCY", "slow", FLAG),
    ("MAX_CONNECTION_TIME", "-5", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("MEMORY_LIMIT_MB", "15", "must be a whole number from 16 to 16777216"),
    ("RESPONSES_STORE_MB", "-1", "must be a whole number from 0 to 65536"),
    ("MAX_BODY_MB", "1e3", "must be a whole number from 1 to 1024"),
    ("STREAM_BUFFER_SIZE", "16k", "must be a whole number from 1024 to 16777216"),
    ("DISABLE_CONNECTION_CHECK", "ja", FLAG),
    ("CONNECTION_CHECK_INTERVAL", "0", "must be a whole number from 1 to 3600 (seconds)"),
    ("MAX_CLIENT_CONNECTIONS", "0", "must be auto, or a whole number from 1 to 1000000"),
    ("MAX_CONNECTIONS_PER_ADDRESS", "few", "must be auto, or a whole number from 1 to 1000000"),
    ("CLIENT_HEAD_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("CLIENT_BODY_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("CLIENT_IDLE_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("CLIENT_STALL_TIMEOUT", "0", "must be a whole number from 1 to 86400000 (milliseconds)"),
    ("ENABLE_HTTP2", "h2c", FLAG),
    (
        "THINK_TAGS_MODE",
        "loud",
        "must be one of think, strip, raw, reasoning (or separate, the same as reasoning)",
    ),
    ("WORKER_THREADS", "0", "must be auto, or a whole number from 1 to 1024"),
    ("ADMIN_ADDR", "9100", "must be an IP address and a port, such as 127.0.0.1:9100"),
    (
        "OTEL_TRACES_SAMPLER",
        "sometimes",
        "must be always_on, always_off, traceidratio, or one of these after parentbased_",
    ),
    ("OTEL_TRACES_SAMPLER_ARG", "2", "must be a number from 0 to 1"),
    ("TRACE_UPSTREAM", "ja", FLAG),
    ("OTEL_SERVICE_NAME", "a\u{7}b", "must be 1 to 255 characters, none of them a control"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf: no other is spoken"),
    (
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10s",
        "must be a whole number from 1 to 3600000 (milliseconds)",
    ),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "must be name=value pairs, separated by commas"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://", ENDPOINT),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", ENDPOINT),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://127.0.0.1/", ENDPOINT),
    ("LOG_FORMAT", "xml", "must be json or pretty"),
    (
        "CORS_ALLOW_ORIGINS",
        "example.org",
        "must be origins such as https://chat.example.org, separated by commas, or *",
    ),
    (
        "TRUSTED_PROXIES",
        "10.0.0.0/33",
        "must be IP addresses or networks such as 10.0.0.0/8, separated by commas",
    ),
    ("ENABLE_METRICS", "nope", FLAG),
    ("ENABLE_DASHBOARD", "oui", FLAG),
    ("SHUTDOWN_DELAY", "3601", "must be a whole number from 0 to 3600 (seconds)"),
    ("SHUTDOWN_GRACE", "ten", "must be a whole number from 0 to 86400 (seconds)"),
    ("ENABLE_DETAILED_LOGGING", "t", FLAG),
    ("LOG_PROBES", "never", FLAG),
    ("LOG_USER_MESSAGES", "01", FLAG),
    ("LOG_RESPONSE_CONTENT", "yess", FLAG),
    ("DEBUG_MODE", "debug", FLAG),
];

/// The same for secrets, whose value is not told.
const BAD_SECRETS: &[(&str, &str, &str)] = &[
    ("DEFAULT_KEY", "sk-\u{e9}", KEYS),
    ("DEFAULT_KEY", "two words", KEYS),
    ("DEFAULT_KEY", " , ", KEYS),
    ("DEFAULT_KEY", "123456", OWN),
    ("DEFAULT_KEY", "sk-good-0123456789,your-api-key", OWN),
    ("DEFAULT_KEY", "a-key-you-make-up", OWN),
    ("UPSTREAM_TOKEN", "a token", KEYS),
    ("UPSTREAM_TOKEN", ",", KEYS),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a-secret", "must be name=value pairs, separated by commas"),
    ("ADMIN_KEY", "one,two", "must be one key, without commas"),
    ("ADMIN_KEY", "your-api-key-here", OWN),
];

#[test]
fn each_kind_of_bad_value_is_told_with_what_is_allowed() {
    for (name, value, why) in BAD {
        check(&[(name, value)], &format!("{name}={value:?}: {why}"));
    }
    for (name, value, why) in BAD_SECRETS {
        check(&[(name, value)], &format!("{name}=****: {why}"));
    }
}

#[test]
fn the_upstreams_url_has_a_scheme_a_host_and_the_path_of_chats() {
    let shape = "it must look like https://HOST/PATH/chat/completions";
    for (url, shown, why) in [
        ("chat.z.ai", "chat.z.ai", format!("the upstream URL is not an absolute URL; {shape}")),
        (
            "ftp://host/chat/completions",
            "ftp://host/chat/completions",
            format!("the upstream URL is neither https nor http; {shape}"),
        ),
        (
            "https://me:secret@host/chat/completions?key=secret",
            "https://****@host/chat/completions?****",
            format!(
                "the upstream URL holds a user name or password, which belongs in the token; {shape}"
            ),
        ),
        (
            "http://host/chat/completions",
            "http://host/chat/completions",
            "plain http is only allowed to this machine, not to host; use https or allow http"
                .to_owned(),
        ),
        (
            "https://api.z.ai/api/paas/v4",
            "https://api.z.ai/api/paas/v4",
            "must be the whole URL, up to /chat/completions".to_owned(),
        ),
        (
            "https://api.z.ai",
            "https://api.z.ai",
            "must be the whole URL, up to /chat/completions".to_owned(),
        ),
    ] {
        let variables = [("UPSTREAM_URL", url), ("UPSTREAM_TOKEN", "a-token")];
        check(&variables, &format!("UPSTREAM_URL={shown:?}: {why}"));
    }
    for url in ["https://host/a/chat/completions/", "http://[::1]:1/chat/completions?a=b"] {
        let variables = [("UPSTREAM_URL", url), ("UPSTREAM_TOKEN", "a-token")];
        assert!(load(&variables).is_ok(), "{url}");
    }
}

#[test]
fn an_upstream_that_needs_a_token_must_have_one() {
    check(
        &[("UPSTREAM_URL", "https://api.z.ai/api/paas/v4/chat/completions")],
        "UPSTREAM_TOKEN=none: the openai dialect needs a token",
    );
    check(
        &[("ANON_TOKEN_ENABLED", "false")],
        "UPSTREAM_TOKEN=none: the zai-web dialect needs a token, or guest tokens allowed",
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line() {
    let digest = "0".repeat(64);
    let placeholder = keys::digest(b"123456").map(|byte| format!("{byte:02x}")).concat();
    for (name, text, why) in [
        (
            "API_KEYS_FILE",
            format!("# team\nann {digest} limit=5\n"),
            "line 2: \"limit=5\" is none of concurrent=N, per_minute=N, models=A,B, expires=YYYY-MM-DD",
        ),
        (
            "API_KEYS_FILE",
            "ann\n".to_owned(),
            "line 1: after the name comes the SHA-256 of the key, 64 hex digits (z2api-server keygen NAME)",
        ),
        ("MODELS_FILE", "[]".to_owned(), "names no model"),
        (
            "MODELS_FILE",
            "{}".to_owned(),
            "is not a table of models: invalid type: map, expected a sequence at line 1 column 0",
        ),
    ] {
        let file = file(&text);
        check(&[(name, path(&file))], &format!("{name}={:?}: {why}", path(&file)));
    }
    let known = file(&format!("ann {placeholder}\n"));
    check(&[("API_KEYS_FILE", path(&known))], &format!("API_KEYS_FILE=****: {OWN}"));
    for name in ["API_KEYS_FILE", "MODELS_FILE"] {
        let problems = load(&[(name, "/nowhere/at-all")]).unwrap_err().to_string();
        let start = format!("{name}=\"/nowhere/at-all\": cannot be read: ");
        assert!(problems.starts_with(&start), "{problems}");
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_told() {
    let problems = load(&[("RUST_LOG", "z2api=loud")]).unwrap_err().to_string();
    let start = "RUST_LOG=\"z2api=loud\": must be directives such as warn,z2api=info (";
    assert!(problems.starts_with(start), "{problems}");
}

#[test]
fn a_certificate_needs_its_key_and_both_must_be_what_they_claim() {
    let problems = load(&[("TLS_CERT_FILE", "/nowhere/cert.pem")]).unwrap_err().to_string();
    let lines: Vec<&str> = problems.lines().collect();
    assert!(
        lines[0].starts_with("TLS_CERT_FILE=\"/nowhere/cert.pem\": cannot be read"),
        "{problems}"
    );
    assert_eq!(lines[1], "TLS_KEY_FILE=\"\": must be set too when TLS_CERT_FILE is");
    let junk = file("no PEM, but a secret");
    let both = [("TLS_CERT_FILE", path(&junk)), ("TLS_KEY_FILE", path(&junk))];
    let problems = load(&both).unwrap_err().to_string();
    assert!(problems.contains("holds no certificate in PEM form"), "{problems}");
    assert!(problems.contains("holds no private key in PEM form"), "{problems}");
    assert!(!problems.contains("secret"), "{problems}");
}

#[test]
fn a_value_that_is_no_text_is_told() {
    for name in ["PORT", "DEFAULT_KEY"] {
        let lookup = |asked: &str| (asked == name).then(|| OsString::from_vec(vec![b'8', 0xff]));
        let problems = Config::from_lookup(&Flags::default(), &lookup).unwrap_err();
        assert_eq!(problems.to_string(), format!("{name}=****: must be UTF-8 text"));
    }
}

#[test]
fn every_variable_has_a_bad_value_among_these() {
    let files = ["API_KEYS_FILE", "MODELS_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"];
    let elsewhere = files.into_iter().chain(["UPSTREAM_URL", "RUST_LOG"]);
    let tested: BTreeSet<&str> =
        BAD.iter().chain(BAD_SECRETS).map(|(name, ..)| *name).chain(elsewhere).collect();
    let known: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(tested, known);
}

#[test]
fn all_problems_are_told_at_once() {
    let bad: Vec<(&str, &str)> = BAD
        .iter()
        .chain(&BAD_SECRETS[..1])
        .chain(&BAD_SECRETS[6..7])
        .map(|(name, value, _)| (*name, *value))
        .chain([("UPSTREAM_URL", "nonsense"), ("MODELS_FILE", "/nowhere"), ("RUST_LOG", "=,=")])
        .collect();
    let problems = load(&bad).unwrap_err();
    let told: Vec<&str> = problems.0.iter().map(|problem| problem.variable).collect();
    let set: BTreeSet<&str> = bad.iter().map(|(name, _)| *name).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<&str>>(), set);
    assert_eq!(told.len(), set.len(), "each once: {problems}");
}

#[test]
fn the_examples_keys_are_refused_off_loopback_only() {
    for host in ["127.0.0.1", "localhost", "::1", "127.0.0.9"] {
        assert!(load(&[("DEFAULT_KEY", "123456"), ("HOST", host)]).is_ok(), "{host}");
    }
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        assert!(load(&[("DEFAULT_KEY", "123456"), ("HOST", host)]).is_err(), "{host}");
    }
}

#[test]
fn no_client_has_the_operators_key() {
    let keys =
        |admin| [("DEFAULT_KEY", "sk-one-0123456789,sk-two-0123456789"), ("ADMIN_KEY", admin)];
    let problems = load(&keys("sk-two-0123456789")).unwrap_err().to_string();
    assert!(problems.contains("must be another key than those of the clients"), "{problems}");
    assert!(!problems.contains("sk-two"), "{problems}");
    assert!(load(&keys("sk-three-0123456789")).is_ok());
}
