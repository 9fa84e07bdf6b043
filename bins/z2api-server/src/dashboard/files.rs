//! The files of the page, as they stand in the binary. No build makes them: they are what is sent.

use std::fmt::Write as _;
use std::sync::LazyLock;

use z2api_config::digest;

/// A file and where it lies below `/dashboard`.
pub(crate) struct File {
    path: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File { path, kind, text }
}

static FILES: [File; 17] = [
    file("", HTML, include_str!("assets/index.html")),
    file("/style.css", CSS, include_str!("assets/style.css")),
    file("/icon.svg", IMAGE, include_str!("assets/icon.svg")),
    file("/early.js", SCRIPT, include_str!("assets/early.js")),
    file("/main.js", SCRIPT, include_str!("assets/main.js")),
    file("/words.js", SCRIPT, include_str!("assets/words.js")),
    file("/say.js", SCRIPT, include_str!("assets/say.js")),
    file("/sse.js", SCRIPT, include_str!("assets/sse.js")),
    file("/keys.js", SCRIPT, include_str!("assets/keys.js")),
    file("/history.js", SCRIPT, include_str!("assets/history.js")),
    file("/chart.js", SCRIPT, include_str!("assets/chart.js")),
    file("/charts.js", SCRIPT, include_str!("assets/charts.js")),
    file("/tables.js", SCRIPT, include_str!("assets/tables.js")),
    file("/raw.js", SCRIPT, include_str!("assets/raw.js")),
    file("/growing.js", SCRIPT, include_str!("assets/growing.js")),
    file("/answer.js", SCRIPT, include_str!("assets/answer.js")),
    file("/chat.js", SCRIPT, include_str!("assets/chat.js")),
];

/// All of them in one: another page has another one.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let texts: Vec<&str> = FILES.iter().map(|file| file.text).collect();
    short_digest(&texts.concat())
});

/// What tells this page from that of another version.
pub(super) fn page() -> &'static str {
    &PAGE
}

impl File {
    pub(super) fn of(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    /// Its entity tag, by what is in it: it outlives a restart, and goes with an update.
    pub(super) fn tag(&self) -> String {
        format!("\"{}\"", short_digest(self.text))
    }
}

fn short_digest(text: &str) -> String {
    digest(text.as_bytes())[..8].iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
