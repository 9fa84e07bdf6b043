//! Reads variables by type, and keeps every problem instead of stopping at the first.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use z2api_upstream_client::SettingsError;

use crate::problem::{Problem, Problems};

/// Where variables come from.
pub type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Reads variables. One that is empty or blank counts as not set.
pub(crate) struct Reader<'a> {
    lookup: &'a Lookup<'a>,
    problems: Vec<Problem>,
    asked: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(lookup: &'a Lookup<'a>) -> Self {
        Self { lookup, problems: Vec::new(), asked: Vec::new() }
    }

    /// Gives the settings, unless there was a problem.
    pub(crate) fn finish<T>(self, settings: T) -> Result<T, Problems> {
        let known: Vec<&str> = crate::VARIABLES.iter().map(|variable| variable.name).collect();
        debug_assert!(self.asked.iter().all(|name| known.contains(name)), "{:?}", self.asked);
        if self.problems.is_empty() { Ok(settings) } else { Err(Problems(self.problems)) }
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

    /// A problem that the upstream client found.
    pub(crate) fn settings_problem(&mut self, error: &SettingsError) {
        use SettingsError as E;
        let (variable, shown) = match error {
            E::NoToken { .. } | E::Header { setting: "token" } => ("UPSTREAM_TOKEN", false),
            E::Header { setting: "user_agent" } => ("UPSTREAM_USER_AGENT", true),
            E::Header { .. } => ("UPSTREAM_FE_VERSION", true),
            _ => ("UPSTREAM_URL", true),
        };
        let value = match (self.raw(variable), shown) {
            (None, _) => String::new(),
            (Some(_), false) => "****".to_owned(),
            (Some(value), true) => format!("{value:?}"),
        };
        self.problems.push(Problem { variable, value, why: error.to_string() });
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.raw(name)
    }

    /// Secrets, separated by commas: what is wrong with them is told without their values.
    pub(crate) fn secret_list(&mut self, name: &'static str) -> Vec<String> {
        let value = self.raw(name).unwrap_or_default();
        value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(String::from).collect()
    }

    /// A value that `read` understands.
    pub(crate) fn with<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.raw(name)?;
        let read = read(&value);
        if read.is_none() {
            self.problem(name, &value, allowed);
        }
        read
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str, or: T) -> T {
        let Some(value) = self.raw(name) else { return or };
        value.parse().unwrap_or_else(|error: T::Err| {
            let why = error.to_string();
            self.problem(name, &value, why.strip_prefix("must be ").unwrap_or(&why));
            or
        })
    }

    pub(crate) fn flag(&mut self, name: &'static str, or: bool) -> bool {
        let allowed = "true or false (also 1, 0, yes, no, on, off)";
        let read = self.with(name, allowed, |value| match value.to_ascii_lowercase().as_str() {
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
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let path = self.raw(name)?;
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
        let read =
            self.with(name, &allowed, |value| value.parse().ok().filter(|n| range.contains(n)));
        read.unwrap_or(or)
    }

    fn raw(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        let value = (self.lookup)(name)?;
        match value.into_string() {
            Ok(value) => Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
            Err(_) => {
                self.secret_problem(name, "UTF-8 text");
                None
            }
        }
    }
}
