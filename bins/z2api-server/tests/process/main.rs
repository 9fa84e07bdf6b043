//! The program as a process: its exit codes, its output, its signals.

mod commands;
mod faults;
mod reload;
mod sockets;
mod start;
mod watch;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use watch::{Output, QUESTION, Secrets};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_z2api-server"));
    program.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running demo. Killed when dropped; then nothing that it said may hold a secret.
struct Demo {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
    /// What it logs, where nobody else reads that.
    log: Option<Output>,
    secrets: Secrets,
}

impl Demo {
    /// Logs at the finest level, unless the variables say otherwise.
    fn start(variables: &[(&str, &str)]) -> Self {
        Self::with(&[], variables)
    }

    fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut program = program();
        program.arg("--demo").args(arguments).env("PORT", "0").env("RUST_LOG", "trace");
        program.envs(variables.iter().copied());
        Self::spawn(program).watched(variables)
    }

    /// Reads what it logs, and knows the secrets among its variables.
    fn watched(mut self, variables: &[(&str, &str)]) -> Self {
        self.secrets.learn(variables);
        self.log = self.child.stdout.take().map(Output::of);
        self
    }

    fn log(&mut self) -> &mut Output {
        self.log.as_mut().expect("its log is read")
    }

    fn spawn(mut program: Command) -> Self {
        let mut child = program.spawn().expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a first line");
        let address = line.trim().rsplit_once("://").expect(&line).1.to_owned();
        Self { child, address, stderr, log: None, secrets: Secrets::default() }
    }

    fn post(&self, key: &str, stream: bool) -> TcpStream {
        self.secrets.keep(key);
        let body = format!(
            r#"{{"model":"GLM-4.5-Thinking","stream":{stream},"messages":[{{"role":"user","content":"{QUESTION}"}}]}}"#
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

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().expect("kill");
        assert!(status.success());
    }

    /// Ends it by SIGTERM; answers what it logged.
    fn end(&mut self) -> String {
        self.signal("-TERM");
        assert_eq!(self.wait().code(), Some(0));
        self.log().whole().to_owned()
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
        if !thread::panicking() {
            self.check();
        }
    }
}

/// Writes a file, and tells where it is.
fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The status of an answer.
fn status(mut socket: TcpStream) -> u16 {
    let mut head = [0; 12];
    socket.read_exact(&mut head).expect("an answer");
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}
