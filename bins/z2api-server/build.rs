//! Tells the program when it was built and from which commit.

use std::path::Path;
use std::process::Command;

/// The top of the sources.
const TOP: &str = "../..";

fn main() {
    // What the program is made of: built anew, it has a new date.
    for part in ["bins/z2api-server/build.rs", "bins/z2api-server/src", "crates", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={TOP}/{part}");
    }
    println!("cargo::rustc-env=Z2API_BUILD_DATE={}", build_date());
    println!("cargo::rustc-env=Z2API_COMMIT={}", commit());
}

/// The day of `SOURCE_DATE_EPOCH` where it is set, otherwise today.
fn build_date() -> String {
    let at = match variable("SOURCE_DATE_EPOCH") {
        None => jiff::Timestamp::now(),
        Some(text) => {
            let seconds = text.parse().ok();
            let at = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            at.unwrap_or_else(|| panic!("SOURCE_DATE_EPOCH={text:?} must be seconds since 1970"))
        }
    };
    at.strftime("%Y-%m-%d").to_string()
}

/// `Z2API_COMMIT` where it is set (a build without its repository), otherwise what git says. Without
/// either "unknown": a build from a tarball, or without git, is a build all the same.
fn commit() -> String {
    let given = variable("Z2API_COMMIT").or_else(|| {
        let top = std::fs::canonicalize(TOP).ok()?;
        // A tarball unpacked within some other repository has not that one's commit.
        let repository = std::fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
        if repository != top {
            return None;
        }
        rerun_at_commits();
        git(&["rev-parse", "--short=12", "HEAD"])
    });
    given.unwrap_or_else(|| "unknown".to_owned())
}

/// Git writes a line here for each change of what is checked out.
fn rerun_at_commits() {
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}

/// The first line of what git says, if there is a git and it has something to say.
fn git(arguments: &[&str]) -> Option<String> {
    let asked = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(asked.stdout).ok().filter(|_| asked.status.success())?;
    said.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
