//! A `.env` file: settings below the real environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::problem::Problem;
use crate::variables::VARIABLES;

/// The settings of a file.
#[derive(Debug, Default)]
pub(crate) struct EnvFile {
    pub(crate) path: PathBuf,
    pub(crate) values: BTreeMap<String, String>,
    /// Names that mean nothing to the gateway, each with a sentence.
    pub(crate) warnings: Vec<String>,
}

impl EnvFile {
    /// Reads the file at `path`; without one, `.env` in the working folder if it is there.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Problem> {
        let asked_for = path.is_some();
        let path = path.unwrap_or(Path::new(".env"));
        let problem = |why: String| Problem {
            variable: "--env-file",
            value: format!("{:?}", path.display().to_string()),
            why,
        };
        if !asked_for && !path.is_file() {
            return Ok(Self::default());
        }
        let lines = dotenvy::from_path_iter(path)
            .map_err(|error| problem(format!("cannot be read: {error}")))?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for line in lines {
            // The line could hold a secret: only its place in the file is told.
            let (name, value) = line.map_err(|error| {
                problem(match error {
                    dotenvy::Error::LineParse(_, at) => {
                        format!("has a line that is not NAME=VALUE (at character {})", at + 1)
                    }
                    error => format!("cannot be read: {error}"),
                })
            })?;
            if !VARIABLES.iter().any(|variable| variable.name == name) {
                file.warnings.push(unknown(&name));
            }
            file.values.insert(name, value);
        }
        Ok(file)
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
        assert_eq!(unknown("MAX_RETRYS"), "MAX_RETRYS is not a setting; did you mean MAX_RETRIES?");
        assert_eq!(unknown("FAVOURITE_COLOUR"), "FAVOURITE_COLOUR is not a setting");
    }
}
