//! Keeps what the gateway said, where `Z2API_SAID` names a folder: `tests/clients/schema.py` holds
//! it against OpenAI's published description.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

/// One test process writes one file, a line at a time.
static WRITING: Mutex<()> = Mutex::new(());

/// A longer request is kept in part: it is only shown.
const MAX_ASKED: usize = 2000;

/// A request, and its answer as far as it was read.
#[derive(Debug)]
pub(crate) struct Said {
    method: String,
    path: String,
    asked: String,
    answer: Vec<u8>,
}

impl Said {
    /// None where nothing is to be kept.
    pub(crate) fn to(method: &str, path: &str, body: &[u8]) -> Option<Self> {
        std::env::var_os("Z2API_SAID")?;
        let asked = String::from_utf8_lossy(&body[..body.len().min(MAX_ASKED)]).into_owned();
        Some(Self { method: method.into(), path: path.into(), asked, answer: Vec::new() })
    }

    pub(crate) fn more(&mut self, bytes: &[u8]) {
        self.answer.extend_from_slice(bytes);
    }

    /// Writes a line. `whole`: the answer was read to its proper end.
    pub(crate) fn write(&self, status: u16, headers: &[(String, String)], whole: bool) {
        let Some(folder) = std::env::var_os("Z2API_SAID") else { return };
        let line = json!({
            "method": self.method, "path": self.path, "asked": self.asked, "status": status,
            "headers": headers, "body": String::from_utf8_lossy(&self.answer), "whole": whole,
        });
        let name = format!("{}.said", std::process::id());
        let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let file = OpenOptions::new().create(true).append(true).open(Path::new(&folder).join(name));
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("the folder of Z2API_SAID can be written to");
    }
}
