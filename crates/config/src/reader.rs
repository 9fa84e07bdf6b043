//! Reads variables by type, and keeps every problem instead of stopping at the first.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use z2api_observability::mask_key;

use crate::effective::{Effective, Source, shown_url};
use crate::env_file::EnvFile;
use crate::plain::{without_comment, without_quotes};
use crate::problem::Problem;

/// Where the variables of the environment come from.
pub type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Reads variables: from the environment, then from a file. One that is empty, blank or nothing but
/// a comment counts as not set.
pub(crate) struct Reader<'a> {
    lookup: &'a Lookup<'a>,
    file: &'a EnvFile,
    pub(crate) problems: Vec<Problem>,
    pub(crate) effective: Vec<Effective>,
    /// What is odd and can be lived with, a sentence each.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(lookup: &'a Lookup<'a>, file: &'a EnvFile) -> Self {
        Self { lookup, file, problems: Vec::new(), effective: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn problem(&mut self, variable: &'static str, value: &str, allowed: &str) {
        let value = format!("{:?}", value.chars().take(200).collect::<String>());
        self.problems.push(Problem { variable, value, why: format!("must be {allowed}") });
    }

    /// As [`Reader::problem`], for a value that must not be shown.
    pub(crate) fn secret_problem(&mut self, variable: &'static str, allowed: &str) {
        let why = format!("must be {allowed}");
        self.problems.push(Problem { variable, value: "****".to_owned(), why });
    }

    /// A problem with a variable that has been read, told with its value as it may be shown.
    pub(crate) fn shown_problem(&mut self, variable: &'static str, why: String) {
        let shown = self.effective.iter().find(|setting| setting.name == variable);
        let value = match shown {
            Some(setting) if setting.source == Source::Default => setting.value.clone(),
            Some(setting) => format!("{:?}", setting.value),
            None => String::new(),
        };
        self.problems.push(Problem { variable, value, why });
    }

    pub(crate) fn text(&mut self, name: &'static str, or: &str) -> String {
        let (value, source) = self.raw(name);
        let value = value.unwrap_or_else(|| or.to_owned());
        self.note(name, &value, source);
        value
    }

    /// A URL, in which there may be a password. None if it is not set.
    pub(crate) fn url(&mut self, name: &'static str, or: &str) -> Option<String> {
        let (value, source) = self.raw(name);
        self.note(name, &shown_url(value.as_deref().unwrap_or(or)), source);
        value
    }

    /// Secrets of visible ASCII characters, separated by commas. Their values are never told.
    pub(crate) fn secrets(&mut self, name: &'static str, or: &str) -> Vec<String> {
        let (value, source) = self.raw(name);
        let Some(value) = value else {
            self.note(name, or, source);
            return Vec::new();
        };
        let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(String::from).collect();
        let masked: Vec<String> = words.iter().map(|word| mask_key(word)).collect();
        self.note(name, &masked.join(","), source);
        let visible = |word: &String| word.bytes().all(|byte| byte.is_ascii_graphic());
        if words.is_empty() || !words.iter().all(visible) {
            self.secret_problem(
                name,
                "of visible ASCII characters; several are separated by commas",
            );
        }
        words
    }

    /// `name=value` pairs, separated by commas, whose values are never told. None if it is not set.
    pub(crate) fn secret_pairs(&mut self, name: &'static str, or: &str) -> Option<String> {
        let (value, source) = self.raw(name);
        let Some(value) = value else {
            self.note(name, or, source);
            return None;
        };
        let masked = |pair: &str| match pair.split_once('=') {
            Some((name, _)) => format!("{}=****", name.trim()),
            None => "****".to_owned(),
        };
        let masked: Vec<String> = value.split(',').map(masked).collect();
        self.note(name, &masked.join(","), source);
        Some(value)
    }

    /// A value that `read` understands.
    pub(crate) fn with<T>(
        &mut self,
        name: &'static str,
        or: &str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (value, source) = self.raw(name);
        self.note(name, value.as_deref().unwrap_or(or), source);
        let value = value?;
        let read = read(&value);
        if read.is_none() {
            self.problem(name, &value, allowed);
        }
        read
    }

    pub(crate) fn parsed<T>(&mut self, name: &'static str, or: T) -> T
    where
        T: FromStr<Err: Display> + Display,
    {
        let (value, source) = self.raw(name);
        self.note(name, value.as_deref().unwrap_or(&or.to_string()), source);
        let Some(value) = value else { return or };
        value.parse().unwrap_or_else(|error: T::Err| {
            let why = error.to_string();
            self.problem(name, &value, why.strip_prefix("must be ").unwrap_or(&why));
            or
        })
    }

    pub(crate) fn flag(&mut self, name: &'static str, or: bool) -> bool {
        let allowed = "true or false (also 1, 0, yes, no, on, off)";
        let default = or.to_string();
        let read =
            self.with(name, &default, allowed, |value| match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            });
        read.unwrap_or(or)
    }

    pub(crate) fn count(
        &mut self,
        name: &'static str,
        or: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        self.number(name, or as u64, *range.start() as u64..=*range.end() as u64, "") as usize
    }

    /// A number from 1 to `most`, or `auto`, which is none.
    pub(crate) fn auto(&mut self, name: &'static str, most: usize) -> Option<usize> {
        let allowed = format!("auto, or a whole number from 1 to {most}");
        let read = self.with(name, "auto", &allowed, |value| match value {
            "auto" => Some(None),
            number => number.parse().ok().filter(|number| (1..=most).contains(number)).map(Some),
        });
        read.flatten()
    }

    pub(crate) fn millis(
        &mut self,
        name: &'static str,
        or: u64,
        range: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_millis(self.number(name, or, range, " (milliseconds)"))
    }

    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        or: u64,
        range: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(name, or, range, " (seconds)"))
    }

    /// The contents of the file that a variable names, as `read` understands them.
    pub(crate) fn file<T, E: Display>(
        &mut self,
        name: &'static str,
        or: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (path, source) = self.raw(name);
        self.note(name, path.as_deref().unwrap_or(or), source);
        let path = path?;
        let outcome = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| read(&text).map_err(|error| error.to_string()));
        outcome
            .map_err(|why| {
                self.problems.push(Problem { variable: name, value: format!("{path:?}"), why });
            })
            .ok()
    }

    fn number(
        &mut self,
        name: &'static str,
        or: u64,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> u64 {
        let allowed = format!("a whole number from {} to {}{unit}", range.start(), range.end());
        let read = self.with(name, &or.to_string(), &allowed, |value| {
            value.parse().ok().filter(|number| range.contains(number))
        });
        read.unwrap_or(or)
    }

    fn note(&mut self, name: &'static str, value: &str, source: Source) {
        self.effective.push(Effective { name, value: value.to_owned(), source });
    }

    fn raw(&mut self, name: &'static str) -> (Option<String>, Source) {
        let set = |value: &str| Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        if let Some(value) = (self.lookup)(name) {
            match value.into_string() {
                Ok(value) => {
                    if let Some(value) = set(without_quotes(without_comment(&value))) {
                        return (Some(value), Source::Environment);
                    }
                }
                Err(_) => self.secret_problem(name, "UTF-8 text"),
            }
        }
        match self.file.values.get(name).map(String::as_str).and_then(set) {
            Some(value) => (Some(value), Source::File(self.file.path.clone())),
            None => (None, Source::Default),
        }
    }
}
