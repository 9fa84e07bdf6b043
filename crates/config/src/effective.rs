//! What holds, and where it came from.

use std::fmt;
use std::path::PathBuf;

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The variable's name.
    pub name: &'static str,
    /// Its value as text; masked if it is a secret.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// Nobody set it, and its default follows from this variable or flag, which was set.
    Follows(&'static str),
    /// The environment of the process.
    Environment,
    /// A file of settings.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Follows(leader) => write!(f, "by {leader}"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.name, self.value, self.source)
    }
}

/// The variables whose default another one sets.
const FOLLOWERS: [(&str, &[&str]); 2] = [
    (
        "PERFORMANCE_MODE",
        &[
            "MAX_RETRIES",
            "RETRY_DELAY",
            "REQUEST_TIMEOUT",
            "STREAM_TIMEOUT",
            "RANDOM_DELAY_MIN",
            "RANDOM_DELAY_MAX",
        ],
    ),
    ("DEBUG_MODE", &["RUST_LOG"]),
];

/// Names the variable that set a default, where it was set itself.
pub(crate) fn tell_leaders(all: &mut [Effective]) {
    for (leader, followers) in FOLLOWERS {
        let is_set = |s: &Effective| s.name == leader && s.source != Source::Default;
        if !all.iter().any(is_set) {
            continue;
        }
        for setting in all.iter_mut() {
            if setting.source == Source::Default && followers.contains(&setting.name) {
                setting.source = Source::Follows(leader);
            }
        }
    }
}

/// A URL as it may be shown: without the name, password and query in it.
pub(crate) fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let host_ends = rest.find(['/', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest[..host_ends].rfind('@') {
        Some(at) => ("****", &rest[at..]),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}{user}{rest}?****"),
        None => format!("{scheme}{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        for (url, shown) in [
            ("https://host/a/b", "https://host/a/b"),
            ("https://me:secret@host:1/a@b", "https://****@host:1/a@b"),
            ("http://me:se@cret@host", "http://****@host"),
            ("me:secret@host", "****@host"),
            ("https://host/a?key=secret", "https://host/a?****"),
            ("https://me:sec?ret@host", "https://****@host"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
