//! A `.env` file: settings below the real environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::plain::without_comment;
use crate::problem::Problem;
use crate::variables::VARIABLES;

/// The settings of a file.
#[derive(Debug, Default)]
pub(crate) struct EnvFile {
    pub(crate) path: PathBuf,
    pub(crate) values: BTreeMap<String, String>,
    /// What is odd and can be lived with, a sentence each.
    pub(crate) warnings: Vec<String>,
    /// Why the file, or a line of it, cannot be used.
    pub(crate) problems: Vec<Problem>,
}

impl EnvFile {
    /// Reads the file at `path`; without one, `.env` in the working folder if it is there.
    pub(crate) fn read(path: Option<&Path>) -> Self {
        let asked_for = path.is_some();
        let path = path.unwrap_or(Path::new(".env"));
        if !asked_for && !path.is_file() {
            return Self::default();
        }
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        match std::fs::read_to_string(path) {
            Ok(text) => file.take(text.trim_start_matches('\u{feff}')),
            Err(error) => file.problem(format!("cannot be read: {error}")),
        }
        file
    }

    fn take(&mut self, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            match read_line(line) {
                Some(Ok((name, value))) => self.set(number, name, value),
                // The line could hold a secret: only its place in the file is told.
                Some(Err(why)) => self.problem(format!("line {number} {why}")),
                None => {}
            }
        }
    }

    fn set(&mut self, number: usize, name: String, value: String) {
        if !VARIABLES.iter().any(|variable| variable.name == name) {
            self.warnings.push(unknown(&name));
        } else if self.values.contains_key(&name) {
            self.warnings.push(format!("{name} stands there again in line {number}, which holds"));
        }
        self.values.insert(name, value);
    }

    fn problem(&mut self, why: String) {
        let value = format!("{:?}", self.path.display().to_string());
        self.problems.push(Problem { variable: "--env-file", value, why });
    }
}

/// The name and value of a line; None for one that is empty or a comment.
fn read_line(line: &str) -> Option<Result<(String, String), &'static str>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let Some((name, value)) = line.split_once('=') else {
        return Some(Err("is not NAME=VALUE"));
    };
    let line = format!("{name}={}", literal(without_comment(value)));
    let read = dotenvy::from_read_iter(line.as_bytes()).next()?;
    Some(read.map_err(|_| "is not NAME=VALUE, or its quotes or backslashes do not match up"))
}

/// A value in the library's own writing, so that it takes it as it stands: no variable is put in
/// for a `$`, which would quietly make another key out of a key.
fn literal(value: &str) -> String {
    if value.starts_with('\'') {
        value.to_owned()
    } else if value.contains(['"', '\'', '\\']) {
        value.replace("\\$", "$").replace('$', "\\$")
    } else {
        format!("'{value}'")
    }
}

/// What to say of a name that is no variable's.
fn unknown(name: &str) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_ascii_uppercase(), known);
    let nearest =
        VARIABLES.iter().map(|variable| variable.name).min_by_key(|known| distance(known));
    match nearest.filter(|known| distance(known) <= known.len() / 3) {
        Some(known) => format!("{name} is not a setting; did you mean {known}?"),
        None => format!("{name} is not a setting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_with_the_nearest_known_one() {
        for (name, says) in [
            ("MAX_RETRYS", "; did you mean MAX_RETRIES?"),
            ("max_retries", "; did you mean MAX_RETRIES?"),
            ("UPSTREAM_TOKENS", "; did you mean UPSTREAM_TOKEN?"),
            ("PROT", "; did you mean PORT?"),
            ("FAVOURITE_COLOUR", ""),
        ] {
            assert_eq!(unknown(name), format!("{name} is not a setting{says}"));
        }
    }

    #[test]
    fn a_line_is_read_as_it_stands() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A = b # c", "b"),
            ("A=b  # it's a comment", "b"),
            ("A=", ""),
            ("A= # none", ""),
            ("A=#1", "#1"),
            ("A=a#b", "a#b"),
            ("A=1.1.1.1, 2.2.2.2", "1.1.1.1, 2.2.2.2"),
            ("A=pa$HOME$$x", "pa$HOME$$x"),
            ("A=\"pa$HOME # x\" # c", "pa$HOME # x"),
            ("A='pa$HOME # x'", "pa$HOME # x"),
            ("A=\"a\\\"b\\$c\"", "a\"b$c"),
            ("A=a=b", "a=b"),
        ] {
            let read = read_line(line).unwrap_or_else(|| panic!("{line:?} is a line"));
            assert_eq!(read, Ok(("A".to_owned(), value.to_owned())), "{line:?}");
        }
        for line in ["", "  ", "# A=b", "  #"] {
            assert!(read_line(line).is_none(), "{line:?}");
        }
        for line in ["A", "1A=b", "A B=c", "=b", "A='b", "A=\"b", "A='b' c"] {
            assert!(read_line(line).unwrap_or(Ok(Default::default())).is_err(), "{line:?}");
        }
    }
}
