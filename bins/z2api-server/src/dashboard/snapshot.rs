//! All that the page shows at one moment. No key, token, message or answer is in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use z2api_observability::{Finished, Totals};

use super::files::page;
use super::paces::Pace;
use super::past::Numbers;
use crate::app::App;
use crate::live::Live;
use crate::status::Status;

#[derive(Serialize)]
pub(super) struct Snapshot {
    /// Unix time in milliseconds: the page's clock may be wrong.
    now_ms: u64,
    version: &'static str,
    /// Which page goes with these numbers.
    page: &'static str,
    /// How thinking is shown to those who do not choose.
    think_mode: &'static str,
    /// As `/status` has it.
    status: Status,
    /// Only growing: what happened in a second is the difference of two snapshots.
    totals: Totals,
    /// The present in the form of the past.
    numbers: Numbers,
    /// For who has just come: the last minutes, each moment with its Unix time in milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    past: Vec<(u64, Numbers)>,
    /// For the same: how fast the last answers came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paces: Vec<Pace>,
    /// The requests that ended since the watcher's last snapshot, as far as they are remembered.
    finished: Vec<Finished>,
}

impl Snapshot {
    /// Now, with the requests that ended after the one of number `seen`; of None, with the past too.
    pub(super) fn take(app: &App, live: &Live, seen: Option<u64>) -> Self {
        let recent = app.counters.recent();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let past = if seen.is_none() { app.past.samples() } else { Vec::new() };
        let dated = |(ago, numbers)| (millis(since_1970.saturating_sub(ago)), numbers);
        Self {
            now_ms: millis(since_1970),
            version: env!("CARGO_PKG_VERSION"),
            page: page(),
            think_mode: live.think_mode.as_str(),
            status: Status::of(app, live),
            totals: recent.totals(),
            numbers: Numbers::of(app),
            past: past.into_iter().map(dated).collect(),
            paces: if seen.is_none() { app.paces.all() } else { Vec::new() },
            finished: recent.since(seen.unwrap_or(0)),
        }
    }

    /// The number of the last request in it.
    pub(super) fn last_number(&self) -> Option<u64> {
        self.finished.last().map(|finished| finished.number)
    }

    /// As a server-sent event.
    pub(super) fn event(&self) -> Vec<u8> {
        let mut bytes = b"data: ".to_vec();
        serde_json::to_writer(&mut bytes, self).expect("our own types are JSON");
        bytes.extend_from_slice(b"\n\n");
        bytes
    }
}
