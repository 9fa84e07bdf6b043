//! What a run tells.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// One line of JSON.
#[derive(Debug, Default)]
pub(crate) struct Report(Map<String, Value>);

impl Report {
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Percentiles of so many times, in microseconds.
    pub(crate) fn times(&mut self, name: &str, mut times: Vec<Duration>) {
        times.sort_unstable();
        let at = |share: f64| {
            let index = ((times.len() as f64 - 1.0) * share).round() as usize;
            times.get(index).map_or(0.0, |time| micros(*time))
        };
        self.put(name, json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)}));
    }

    /// The errors, counted by what they say.
    pub(crate) fn errors(&mut self, errors: &[String]) {
        self.put("errors", errors.len());
        if let Some(first) = errors.first() {
            self.put("first_error", first.chars().take(300).collect::<String>());
        }
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Object(self.0.clone()))
    }
}
