//! Holds what an answer shows beside the model's words against what may not be shown: its head, its
//! errors, and the operator's pages.

use serde_json::Value;

use crate::watch::{SHOWN, check};

/// What is longer is not looked at, in bytes.
const MOST: usize = 1024 * 1024;

/// An answer as it is read. Looked at when it is dropped.
#[derive(Debug)]
pub(crate) struct Shown {
    path: String,
    body: Vec<u8>,
    /// Nothing in it comes of the model.
    whole: bool,
}

impl Shown {
    pub(crate) fn begin(path: &str, status: u16, head: &str) -> Self {
        check(SHOWN, "a head", head);
        let pages = ["/status", "/metrics", "/health", "/dashboard"];
        let whole = status >= 300 || pages.iter().any(|page| path.starts_with(page));
        Self { path: path.to_owned(), body: Vec::new(), whole }
    }

    pub(crate) fn more(&mut self, bytes: &[u8]) {
        if self.body.len() + bytes.len() <= MOST {
            self.body.extend_from_slice(bytes);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let body = String::from_utf8_lossy(&self.body);
        if self.whole {
            return check(SHOWN, &self.path, &body);
        }
        for event in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
            if event.contains("\"error\"") {
                check_error(&self.path, event);
            }
        }
    }
}

/// The error of an event, not what it follows.
fn check_error(path: &str, event: &str) {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    for error in [&event["error"], &event["response"]["error"]] {
        check(SHOWN, path, &error.to_string());
    }
}
