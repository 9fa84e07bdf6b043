use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::from_lookup(Flags::default(), &|name| {
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
    assert!(config.key_is_generated && config.keys[0].expose().len() > 40);
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
    let _ = Config::from_lookup(Flags::default(), &|name| {
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
