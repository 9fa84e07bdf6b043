//! The commands that do not serve.

use super::*;

#[test]
fn check_prints_what_holds_and_where_it_came_from() {
    let folder = TempDir::new().unwrap();
    write(&folder, ".env", "MAX_RETRIES=2 # two\nDEFAULT_KEY=sk-0123456789abcdef\nMAX_RETRYS=1\n");
    let mut check = program();
    let output = check.arg("check").current_dir(&folder).env("PORT", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "PORT=1 (environment)",
        "MAX_RETRIES=2 (.env)",
        "DEFAULT_KEY=sk-0****cdef (.env)",
        "HOST=0.0.0.0 (default)",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("did you mean MAX_RETRIES"), "{warned}");
    let bad = program().arg("check").env("PORT", "x").output().unwrap();
    assert_eq!(bad.status.code(), Some(78));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/.env.example");
    let clean = program().args(["check", "--env-file", example]).output().unwrap();
    assert!(clean.status.success() && clean.stderr.is_empty());
}

#[test]
fn healthcheck_tells_by_its_exit_code_whether_the_gateway_serves() {
    let demo = Demo::start(&[]);
    let port = demo.address.rsplit(':').next().unwrap().to_owned();
    let health =
        |port: &str| program().arg("healthcheck").env("PORT", port).output().unwrap().status.code();
    assert_eq!(health(&port), Some(0));
    drop(demo);
    assert_eq!(health(&port), Some(1));
}

#[test]
fn healthcheck_speaks_tls_where_the_gateway_does() {
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let cert = write(&folder, "cert.pem", &made.cert.pem());
    let key = write(&folder, "key.pem", &made.signing_key.serialize_pem());
    let files =
        [("TLS_CERT_FILE", cert.to_str().unwrap()), ("TLS_KEY_FILE", key.to_str().unwrap())];
    let demo = Demo::start(&files);
    let port = demo.address.rsplit(':').next().unwrap().to_owned();
    let mut health = program();
    health.arg("healthcheck").env("PORT", &port);
    assert_eq!(health.output().unwrap().status.code(), Some(1), "without TLS");
    health.envs(files);
    assert_eq!(health.output().unwrap().status.code(), Some(0));
}

#[test]
fn version_tells_commit_and_date() {
    let output = program().arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("commit ") && text.contains("built 20"), "{text}");
}

#[test]
fn what_docker_hands_over_of_the_example_is_clean() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/.env.example");
    let text = std::fs::read_to_string(example).unwrap();
    // Every setting in use, with a comment behind it: all that follows the `=` is the value.
    let lines = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let in_use = lines.filter(|(name, _)| !name.contains(' '));
    let handed_over = in_use.map(|(name, value)| (name, format!("{value}    # as it's meant")));
    let output = program().arg("check").envs(handed_over).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("PORT=8080 (environment)\n"), "{shown}");
    assert!(shown.contains("DEFAULT_KEY=random (default)\n") && !shown.contains('#'), "{shown}");
}

#[test]
fn healthcheck_goes_by_the_address_alone() {
    let demo = Demo::start(&[]);
    let port = demo.address.rsplit(':').next().unwrap();
    let mut health = program();
    health.arg("healthcheck").env("PORT", port);
    // The gateway runs on with what it had while these are being mended.
    health.envs([("API_KEYS_FILE", "/nowhere"), ("MAX_RETRIES", "many")]);
    assert_eq!(health.output().unwrap().status.code(), Some(0));
    for (port, code, says) in [("x", 78, "PORT=\"x\": must be"), ("0", 1, "PORT=0")] {
        let output = program().arg("healthcheck").env("PORT", port).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(says), "{said}");
    }
}

#[test]
fn keygen_prints_a_key_and_the_line_that_lets_it_in() {
    let output = program().args(["keygen", "ann"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let key = told.lines().next().unwrap().rsplit(' ').next().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("ann ") && !line.contains(key), "{line}");
    let folder = TempDir::new().unwrap();
    let keys = write(&folder, "keys", &format!("# team\n{line}"));
    let demo = Demo::start(&[("API_KEYS_FILE", keys.to_str().unwrap())]);
    assert_eq!(status(demo.post(key, false)), 200);
    assert_eq!(status(demo.post("sk-another", false)), 401);
    let bad = program().args(["keygen", "a b"]).output().unwrap();
    assert!(!bad.status.success() && bad.stdout.is_empty());
}
