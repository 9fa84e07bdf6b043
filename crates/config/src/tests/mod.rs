//! What variables, files and documents have to do with each other.

mod bad_values;
mod documents;
mod files;
mod values;

use std::ffi::OsString;

use super::*;

/// Reads variables, and no file.
fn load(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::from_lookup(&Flags::default(), &|name| lookup(variables, name))
}

fn lookup(variables: &[(&str, &str)], name: &str) -> Option<OsString> {
    let found = variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| OsString::from(value))
}

/// A file that is gone with its holder.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        let name = format!("z2api-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads a file of settings with nothing but `environment` above it.
fn load_file(text: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let file = TempFile::new(text);
    read(&Flags::default(), &|name| lookup(environment, name), &EnvFile::read(Some(&file.0)))
}

/// A setting as it holds, with where it came from.
fn line(config: &Config, name: &str) -> String {
    config.effective.iter().find(|setting| setting.name == name).unwrap().to_string()
}
