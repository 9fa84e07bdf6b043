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
