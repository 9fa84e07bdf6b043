//! Tells the program when it was built: `SOURCE_DATE_EPOCH` where it is set, otherwise today.

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|at| at.parse().ok());
    let at = given
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_else(jiff::Timestamp::now);
    println!("cargo::rustc-env=Z2API_BUILD_DATE={}", at.strftime("%Y-%m-%d"));
}
