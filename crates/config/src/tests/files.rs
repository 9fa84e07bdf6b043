//! A `.env` file, read by the gateway and by those who hand it over.

use super::*;

/// The seed's example, comments and all.
const COMMENTED: &str = "\
# basics
HOST=127.0.0.1                     # this machine
DEFAULT_KEY=your-api-key-here      # API key, don't share it
UPSTREAM_TOKEN=                    # optional
PERFORMANCE_MODE=fast              # fast/balanced/secure
MAX_CONCURRENT_CONNECTIONS=200\t# it's the most
REQUEST_TIMEOUT=9000 # (ms)
ANON_TOKEN_ENABLED=true
THINK_TAGS_MODE=\"strip\"            # think/strip/raw
";

/// What `docker run --env-file` makes of a file: lines that begin with `#` are left out, and all
/// that follows the first `=` is the value. systemd's `EnvironmentFile` takes comments alike.
fn as_docker_reads(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[test]
fn a_file_with_comments_means_the_same_however_it_is_read() {
    let native = load_file(COMMENTED, &[]).unwrap();
    let docker = load(&as_docker_reads(COMMENTED)).unwrap();
    for config in [native, docker] {
        assert_eq!(config.first_key.unwrap().expose(), "your-api-key-here");
        assert_eq!(config.performance_mode, PerformanceMode::Fast);
        assert_eq!(config.admission.max_in_flight, 200);
        assert_eq!(config.limits.request, Duration::from_secs(9));
        assert_eq!(config.think_mode, ThinkMode::Strip);
        assert!(config.upstream.tokens.is_empty() && config.warnings.is_empty());
    }
}

#[test]
fn the_example_file_can_be_used_however_it_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/.env.example");
    let text = std::fs::read_to_string(path).unwrap();
    // As it is, and with every setting in use, as a reader who removes the # marks would have it;
    // then with a comment behind each.
    let in_use: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && line.contains('='))
        .collect();
    assert_eq!(in_use.len(), VARIABLES.len());
    let commented: Vec<String> = in_use.iter().map(|line| format!("{line}  # it's so")).collect();
    for text in [text.clone(), in_use.join("\n"), commented.join("\n")] {
        for config in [load_file(&text, &[]), load(&as_docker_reads(&text))] {
            let config = config.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
            let defaults = load(&[]).unwrap();
            for (used, default) in config.effective.iter().zip(&defaults.effective) {
                assert_eq!(used.value, default.value, "{}", used.name);
            }
        }
    }
}

#[test]
fn a_file_is_below_the_environment() {
    let text = "PORT=9001 # inline\nMAX_RETRIES=\"2\"\nexport HOST=127.0.0.1\n\nDEFAULT_KEY=a#b\n";
    let config = load_file(text, &[("PORT", "9002"), ("MAX_RETRIES", " ")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9002");
    assert_eq!(config.upstream.retry.retries, 2, "blank is not set");
    assert_eq!(config.first_key.as_ref().unwrap().expose(), "a#b");
    assert_eq!(line(&config, "PORT"), "PORT=9002 (environment)");
    let source = |name: &str| {
        let found = config.effective.iter().find(|setting| setting.name == name).unwrap();
        found.source.clone()
    };
    assert!(matches!(source("MAX_RETRIES"), Source::File(_)));
    assert_eq!(source("MAX_BODY_MB"), Source::Default);
}

#[test]
fn a_key_with_a_dollar_stays_itself() {
    for text in ["DEFAULT_KEY=pa$HOME$$x\n", "DEFAULT_KEY=\"pa$HOME$$x\" # c\n"] {
        let config = load_file(text, &[]).unwrap();
        assert_eq!(config.first_key.unwrap().expose(), "pa$HOME$$x", "{text}");
    }
}

#[test]
fn what_is_odd_in_a_file_is_a_warning() {
    let config = load_file("\u{feff}PORT=1\nMAX_RETRYS=2\nPORT=2\n", &[]).unwrap();
    let expected = [
        "MAX_RETRYS is not a setting; did you mean MAX_RETRIES?",
        "PORT stands there again in line 3, which holds",
    ];
    assert_eq!(config.warnings, expected);
    assert_eq!(config.listen.port(), 2);
}

#[test]
fn what_cannot_be_read_of_a_file_is_told_without_showing_it() {
    let text = "PORT=x\nDEFAULT_KEY='secret\nUPSTREAM_TOKEN secret\n";
    let problems = load_file(text, &[("MAX_RETRIES", "y"), ("ANON_TOKEN_ENABLED", "no")]);
    let problems = problems.unwrap_err();
    let told: Vec<(&str, &str)> =
        problems.0.iter().map(|problem| (problem.variable, problem.why.as_str())).collect();
    let expected = [
        ("--env-file", "line 2 is not NAME=VALUE, or its quotes or backslashes do not match up"),
        ("--env-file", "line 3 is not NAME=VALUE"),
        ("PORT", "must be a whole number from 0 to 65535"),
        ("MAX_RETRIES", "must be a whole number from 0 to 20"),
    ];
    // The missing token is not told: it may stand in a line that could not be read.
    assert_eq!(told, expected);
    assert!(!problems.to_string().contains("secret"), "{problems}");
    let flags = Flags { env_file: Some("/nowhere/.env".into()), ..Flags::default() };
    let problems = Config::load(&flags).unwrap_err().to_string();
    assert!(problems.starts_with("--env-file=\"/nowhere/.env\": cannot be read: "), "{problems}");
}
