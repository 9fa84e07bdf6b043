use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::from_lookup(&Flags::default(), &|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    })
}

fn check(variables: &[(&str, &str)], expected: &[&str]) {
    let problems = load(variables).expect_err("a problem");
    let lines: Vec<String> = problems.to_string().lines().map(String::from).collect();
    assert_eq!(lines, expected);
}

#[test]
fn nothing_set_is_the_documented_default() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert!(config.key_is_generated && config.first_key.unwrap().expose().len() > 40);
    assert_eq!(config.upstream.retry.retries, 3);
    assert_eq!(config.upstream.timeouts.lifetime, Duration::from_secs(300));
    assert_eq!(config.limits.heartbeat, Some(Duration::from_secs(20)));
}

#[test]
fn all_problems_are_told_at_once() {
    check(
        &[("PORT", "80x"), ("THINK_TAGS_MODE", "loud"), ("DEBUG_MODE", "maybe")],
        &[
            "PORT=\"80x\": must be a whole number from 0 to 65535",
            "THINK_TAGS_MODE=\"loud\": must be one of think, strip, raw, reasoning (or separate, the same as reasoning)",
            "DEBUG_MODE=\"maybe\": must be true or false (also 1, 0, yes, no, on, off)",
        ],
    );
}

#[test]
fn a_key_from_the_examples_is_refused_off_loopback_and_never_shown() {
    let problems = load(&[("DEFAULT_KEY", "123456")]).unwrap_err().to_string();
    assert!(problems.starts_with("DEFAULT_KEY=****: must be a key of your own"), "{problems}");
    assert!(load(&[("DEFAULT_KEY", "123456"), ("HOST", "127.0.0.1")]).is_ok());
}

#[test]
fn a_mode_sets_defaults_that_others_override() {
    let config = load(&[("PERFORMANCE_MODE", "fast"), ("MAX_RETRIES", "4")]).unwrap();
    assert_eq!(config.upstream.retry.retries, 4);
    assert_eq!(config.upstream.timeouts.first_event, Duration::from_secs(10));
    let problems = load(&[("RANDOM_DELAY_MIN", "900"), ("PERFORMANCE_MODE", "fast")]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "RANDOM_DELAY_MIN=\"900\": must be no more than RANDOM_DELAY_MAX"
    );
}

#[test]
fn the_official_api_needs_a_token_and_https() {
    let url = ("UPSTREAM_URL", "https://api.z.ai/api/paas/v4/chat/completions");
    let problems = load(&[url]).unwrap_err();
    assert_eq!(problems.0[0].variable, "UPSTREAM_TOKEN");
    assert!(load(&[url, ("UPSTREAM_TOKEN", "a-token")]).is_ok());
    let plain = ("UPSTREAM_URL", "http://api.example/v4/chat/completions");
    let problems = load(&[plain, ("UPSTREAM_TOKEN", "a-token")]).unwrap_err();
    assert_eq!(problems.0[0].variable, "UPSTREAM_URL");
    assert!(!problems.to_string().contains("a-token"));
}

#[test]
fn every_variable_is_read_and_every_variable_read_is_documented() {
    let asked = RefCell::new(BTreeSet::new());
    let _ = Config::from_lookup(&Flags::default(), &|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    let documented = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(asked.into_inner(), documented);
}

#[test]
fn the_readme_lists_every_variable_with_its_default_and_meaning() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).expect("the README");
    let table: String = VARIABLES
        .iter()
        .map(|v| format!("| `{}` | {} | {} |\n", v.name, v.default, v.meaning))
        .collect();
    assert!(readme.contains(&table), "the README's table should be:\n{table}");
}

#[test]
fn the_example_file_lists_every_variable() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/.env.example");
    let example = std::fs::read_to_string(path).expect("the example file");
    let listed: Vec<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .collect();
    let known: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(listed, known);
}

fn file(text: &str) -> (PathBuf, Flags) {
    let name = format!("z2api-{:016x}.env", rand::random::<u64>());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    let flags = Flags { env_file: Some(path.clone()), ..Flags::default() };
    (path, flags)
}

/// Reads a file with nothing but `environment` above it.
fn load_file(text: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let (path, flags) = file(text);
    let read_file = EnvFile::read(flags.env_file.as_deref()).map_err(|p| Problems(vec![p]));
    std::fs::remove_file(&path).unwrap();
    let lookup = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    read(&flags, &lookup, &read_file?)
}

#[test]
fn a_file_is_below_the_environment_and_may_have_comments() {
    let text =
        "# ours\nPORT=9001 # inline\nMAX_RETRIES=\"2\"\nexport HOST=127.0.0.1\n\nDEFAULT_KEY=a#b\n";
    let config = load_file(text, &[("PORT", "9002")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9002");
    assert_eq!(config.upstream.retry.retries, 2);
    assert_eq!(config.first_key.unwrap().expose(), "a#b");
    let source = |name: &str| {
        let found = config.effective.iter().find(|setting| setting.name == name).unwrap();
        found.source.clone()
    };
    assert_eq!(source("PORT"), Source::Environment);
    assert!(matches!(source("MAX_RETRIES"), Source::File(_)));
    assert_eq!(source("MAX_BODY_MB"), Source::Default);
}

#[test]
fn a_name_in_the_file_that_is_no_setting_is_a_warning() {
    let config = load_file("MAX_RETRYS=2\n", &[]).unwrap();
    assert_eq!(config.warnings, ["MAX_RETRYS is not a setting; did you mean MAX_RETRIES?"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_that_shows_nothing_of_it() {
    let problems = load_file("PORT=1\nDEFAULT_KEY='secret\n", &[]).unwrap_err().to_string();
    assert!(problems.starts_with("--env-file=") && !problems.contains("secret"), "{problems}");
    let flags = Flags { env_file: Some("/nowhere/.env".into()), ..Flags::default() };
    assert!(Config::load(&flags).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn the_example_file_can_be_used_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/.env.example");
    let text = std::fs::read_to_string(path).unwrap();
    let config = load_file(&text, &[]).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    // Every line in use, as a reader who removes all the # marks would have it.
    let in_use: String = text
        .lines()
        .filter(|line| line.starts_with('#') && line.contains('=') && !line.starts_with("# "))
        .map(|line| format!("{}\n", &line[1..]))
        .collect();
    let config = load_file(&in_use, &[]).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.effective.len(), VARIABLES.len());
}

#[test]
fn what_holds_is_told_with_its_source_and_without_secrets() {
    let config = load(&[("UPSTREAM_TOKEN", "a-token-of-mine-1234"), ("PORT", "1")]).unwrap();
    let lines: Vec<String> = config.effective.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "PORT=1 (environment)");
    assert!(lines.contains(&"MAX_RETRIES=3 (default)".to_owned()), "{lines:?}");
    assert!(lines.contains(&"UPSTREAM_TOKEN=a-to****1234 (environment)".to_owned()));
}
