//! What variables, files and documents have to do with each other.

mod bad_values;
mod documents;
mod files;
mod values;

use std::ffi::OsString;

use tempfile::NamedTempFile;

use super::*;

/// Reads variables, and no file.
fn load(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::from_lookup(&Flags::default(), &|name| lookup(variables, name))
}

fn lookup(variables: &[(&str, &str)], name: &str) -> Option<OsString> {
    let found = variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| OsString::from(value))
}

/// A file with this text that is gone with its holder.
fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Reads a file of settings with nothing but `environment` above it.
fn load_file(text: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let file = file(text);
    read(&Flags::default(), &|name| lookup(environment, name), &EnvFile::read(Some(file.path())))
}

/// A setting as it holds, with where it came from.
fn line(config: &Config, name: &str) -> String {
    config.effective.iter().find(|setting| setting.name == name).unwrap().to_string()
}
