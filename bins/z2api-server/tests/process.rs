//! The program as a process: its exit codes, its output, its signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_z2api-server"));
    program.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running demo. Killed when dropped.
struct Demo {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Demo {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut program = program();
        program.arg("--demo").env("PORT", "0").envs(variables.iter().copied());
        let mut child = program.spawn().expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a first line");
        let address = line.trim().rsplit_once("http://").expect(&line).1.to_owned();
        Self { child, address, stderr }
    }

    fn post(&self, key: &str, stream: bool) -> TcpStream {
        let body = format!(
            r#"{{"model":"GLM-4.5-Thinking","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        let mut socket = TcpStream::connect(&self.address).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            socket,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        socket
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(status.success());
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bad_settings_are_told_a_line_each_and_exit_with_78() {
    let output = program()
        .envs([("PORT", "http"), ("MAX_RETRIES", "-1"), ("UPSTREAM_DIALECT", "french")])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for start in ["PORT=\"http\":", "UPSTREAM_DIALECT=\"french\":", "MAX_RETRIES=\"-1\":"] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start} in {text}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = program().arg("--demo").env("PORT", &port).output().expect("the program runs");
    assert!(!output.status.success());
    assert_ne!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&port) && text.contains("in use"), "{text}");
}

#[test]
fn the_demo_prints_a_key_that_works_and_answers_with_thinking() {
    let mut demo = Demo::start(&[]);
    let mut said = String::new();
    let key = loop {
        let mut line = String::new();
        assert_ne!(demo.stderr.read_line(&mut line).unwrap(), 0, "{said}");
        said += &line;
        if let Some((_, rest)) = line.split_once("Authorization: Bearer ") {
            break rest.split('"').next().unwrap().to_owned();
        }
    };
    let mut answer = String::new();
    demo.post(&key, true).read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("<think>\\n") && answer.contains("\\n</think>\\n\\n"), "{answer}");
    assert!(answer.contains("data: [DONE]"), "{answer}");
    demo.terminate();
    assert_eq!(demo.wait().code(), Some(0));
    let mut stdout = String::new();
    demo.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let kinds: Vec<bool> = stdout.lines().map(|line| line.starts_with('{')).collect();
    assert_eq!(kinds, [true, true], "one line in, one out, nothing else: {stdout}");
    assert!(!stdout.contains(&key));
}

#[test]
fn a_signal_lets_the_running_stream_finish() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", "sk-process-test")]);
    let mut stream = demo.post("sk-process-test", true);
    let mut start = [0; 400];
    stream.read_exact(&mut start).expect("the stream begins");
    demo.terminate();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the stream goes on");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(demo.wait().code(), Some(0));
}

/// A folder that is gone with its holder.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("z2api-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The status of an answer.
fn status(mut socket: TcpStream) -> u16 {
    let mut head = [0; 12];
    socket.read_exact(&mut head).expect("an answer");
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[test]
fn check_prints_what_holds_and_where_it_came_from() {
    let folder = Folder::new("check");
    folder.write(".env", "MAX_RETRIES=2 # two\nDEFAULT_KEY=sk-0123456789abcdef\nMAX_RETRYS=1\n");
    let mut check = program();
    let output = check.arg("check").current_dir(&folder.0).env("PORT", "1").output().unwrap();
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
fn version_tells_commit_and_date() {
    let output = program().arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("commit ") && text.contains("built 20"), "{text}");
}

#[test]
fn a_hangup_takes_new_settings_and_bad_ones_change_nothing() {
    let folder = Folder::new("reload");
    let keys = folder.write("keys", "");
    let settings = |key: &str, more: &str| {
        folder.write(
            "settings.env",
            &format!("DEFAULT_KEY={key}\nAPI_KEYS_FILE={}\n{more}", keys.display()),
        )
    };
    let path = settings("sk-old-key", "");
    let mut program = program();
    program.args(["--demo", "--env-file"]).arg(&path).env("PORT", "0");
    let mut child = program.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").unwrap().1.to_owned();
    let demo = Demo { child, address, stderr };
    let until = |key: &str, expected: u16| {
        let deadline = Instant::now() + PATIENCE;
        while status(demo.post(key, true)) != expected {
            assert!(Instant::now() < deadline, "{key} never got {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let hangup = || {
        let pid = demo.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let mut running = demo.post("sk-old-key", true);
    let mut start = [0; 300];
    running.read_exact(&mut start).unwrap();

    settings("sk-new-key", "");
    hangup();
    until("sk-new-key", 200);
    assert_eq!(status(demo.post("sk-old-key", true)), 401);

    settings("sk-newest-key", "MAX_RETRIES=many\n");
    hangup();
    let made =
        Command::new(env!("CARGO_BIN_EXE_z2api-server")).args(["keygen", "ann"]).output().unwrap();
    let told = String::from_utf8(made.stderr).unwrap();
    let key = told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    settings("sk-new-key", "");
    // A change of the file is seen without a signal.
    std::fs::write(&keys, made.stdout).unwrap();
    until(&key, 200);
    assert_eq!(status(demo.post("sk-newest-key", true)), 401, "bad settings changed nothing");

    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "the running request was not dropped");
}

#[test]
fn debug_lines_come_when_asked_for_and_rust_log_wins() {
    let debug_lines = |variables: &[(&str, &str)]| {
        let mut demo = Demo::start(variables);
        let mut socket = TcpStream::connect(&demo.address).unwrap();
        socket.write_all(b"this is not HTTP\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        demo.terminate();
        assert_eq!(demo.wait().code(), Some(0));
        let mut stdout = String::new();
        demo.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        stdout.lines().filter(|line| line.contains("\"level\":\"DEBUG\"")).count()
    };
    assert_eq!(debug_lines(&[]), 0);
    assert!(debug_lines(&[("DEBUG_MODE", "true")]) > 0);
    assert_eq!(debug_lines(&[("DEBUG_MODE", "true"), ("RUST_LOG", "error")]), 0);
}
