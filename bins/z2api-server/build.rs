//! Tells the program when it was built and from which commit.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=Z2API_BUILD_DATE={}", build_date());
    println!("cargo::rustc-env=Z2API_COMMIT={}", commit());
}

/// `SOURCE_DATE_EPOCH` where it is set, otherwise today.
fn build_date() -> String {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|at| at.parse().ok());
    let at = given
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_else(jiff::Timestamp::now);
    at.strftime("%Y-%m-%d").to_string()
}

/// `Z2API_COMMIT` where it is set (a build without its repository), otherwise what git says.
fn commit() -> String {
    println!("cargo::rerun-if-env-changed=Z2API_COMMIT");
    if let Ok(commit) = std::env::var("Z2API_COMMIT") {
        return commit;
    }
    let log = Path::new("../../.git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    let asked = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let said = asked.ok().filter(|output| output.status.success());
    let commit = said.and_then(|output| String::from_utf8(output.stdout).ok());
    commit.map_or_else(|| "unknown".to_owned(), |commit| commit.trim().to_owned())
}
