//! New settings while it runs.

use std::path::Path;

use super::*;

/// Asks until the answer has this status.
fn until(demo: &Demo, key: &str, expected: u16) {
    let deadline = Instant::now() + PATIENCE;
    while status(demo.post(key, true)) != expected {
        assert!(Instant::now() < deadline, "{key} never got {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A new key, and its line for the file of keys.
fn keygen(name: &str) -> (String, String) {
    let made = program().args(["keygen", name]).output().unwrap();
    let told = String::from_utf8(made.stderr).unwrap();
    let key = told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    (key, String::from_utf8(made.stdout).unwrap())
}

/// A demo with a file of settings, which name an empty file of keys.
struct Reloadable {
    demo: Demo,
    folder: TempDir,
}

impl Reloadable {
    fn start(settings: &str) -> Self {
        Self::with(settings, &[])
    }

    fn with(settings: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        write(&folder, "keys", "");
        let path = write_settings(&folder, settings);
        let demo = Demo::with(&["--env-file", path.to_str().unwrap()], variables);
        Self { demo, folder }
    }

    fn hang_up(&self, settings: &str) {
        write_settings(&self.folder, settings);
        self.demo.signal("-HUP");
    }
}

fn write_settings(folder: &TempDir, settings: &str) -> PathBuf {
    let keys = folder.path().join("keys");
    write(folder, "settings.env", &format!("API_KEYS_FILE={}\n{settings}", keys.display()))
}

#[test]
fn a_hangup_takes_new_settings_and_bad_ones_change_nothing() {
    let mut server = Reloadable::start("DEFAULT_KEY=sk-old-key\n");
    let mut running = server.demo.post("sk-old-key", true);
    let mut start = [0; 300];
    running.read_exact(&mut start).unwrap();

    server.hang_up("DEFAULT_KEY=sk-new-key\nMAX_RETRYS=1\n");
    server.demo.log().wait_for("did you mean MAX_RETRIES?");
    until(&server.demo, "sk-new-key", 200);
    assert_eq!(status(server.demo.post("sk-old-key", true)), 401);

    server.hang_up("DEFAULT_KEY=sk-newest-key\nMAX_RETRIES=many\n");
    let bad = server.demo.log().wait_for("nothing has changed");
    assert!(bad.contains("must be a whole number"), "{bad}");
    let (key, line) = keygen("ann");
    write_settings(&server.folder, "DEFAULT_KEY=sk-new-key\n");
    // A change of the file is seen without a signal.
    write(&server.folder, "keys", &line);
    until(&server.demo, &key, 200);
    assert_eq!(
        status(server.demo.post("sk-newest-key", true)),
        401,
        "bad settings changed nothing"
    );

    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "the running request was not dropped");
    let told = server.demo.end();
    assert!(!told.contains("sk-new"), "{told}");
}

#[test]
fn the_level_of_the_log_can_change() {
    let mut server = Reloadable::with("DEFAULT_KEY=sk-old-key\n", &[("RUST_LOG", "")]);
    server.hang_up("DEFAULT_KEY=sk-new-key\nDEBUG_MODE=true\n");
    until(&server.demo, "sk-new-key", 200);
    let mut socket = TcpStream::connect(&server.demo.address).unwrap();
    socket.write_all(b"this is not HTTP\r\n\r\n").unwrap();
    let _ = socket.read_to_end(&mut Vec::new());
    assert!(server.demo.end().contains("\"level\":\"DEBUG\""));
}

/// Puts a file in place by renaming another, as editors and tools do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn a_file_of_keys_is_taken_when_it_is_replaced_and_a_bad_one_says_why() {
    let mut server = Reloadable::start("DEFAULT_KEY=sk-old-key\n");
    let keys = server.folder.path().join("keys");
    let (ann, ann_line) = keygen("ann");
    let (bob, bob_line) = keygen("bob");
    replace(&keys, &ann_line);
    until(&server.demo, &ann, 200);
    replace(&keys, "this is no line of a key\n");
    let bad = server.demo.log().wait_for("nothing has changed");
    assert!(bad.contains("line 1: after the name comes the SHA-256 of the key"), "{bad}");
    assert_eq!(status(server.demo.post(&ann, true)), 200);
    replace(&keys, &bob_line);
    until(&server.demo, &bob, 200);
    assert_eq!(status(server.demo.post(&ann, true)), 401);
}
