//! Watches over all tests of the program: no secret of theirs is in what it says on either output.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ChildStdout;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use super::{Demo, PATIENCE};

/// What is asked.
pub(crate) const QUESTION: &str = "What is nobody's business?";
/// A message of a panic that is made on request.
const PANIC: &str = "secret words";

/// The keys and tokens of a test.
#[derive(Default)]
pub(crate) struct Secrets(RefCell<Vec<String>>);

impl Secrets {
    /// Takes those that are among the settings.
    pub(crate) fn learn(&self, variables: &[(&str, &str)]) {
        let secret = ["DEFAULT_KEY", "ADMIN_KEY", "UPSTREAM_TOKEN"];
        for (_, value) in variables.iter().filter(|(name, _)| secret.contains(name)) {
            value.split(',').for_each(|key| self.keep(key));
        }
    }

    /// A short one may stand anywhere by chance.
    pub(crate) fn keep(&self, key: &str) {
        if key.len() >= 8 {
            self.0.borrow_mut().push(key.to_owned());
        }
    }

    fn check(&self, output: &str, said: &str) {
        for line in said.lines() {
            let keys = self.0.borrow();
            let secrets = keys.iter().map(String::as_str).chain([QUESTION, PANIC]);
            for secret in secrets {
                assert!(!line.contains(secret), "{secret} on {output}: {line}");
            }
        }
    }
}

/// What comes out of a pipe. It is read all the time, so that nothing waits for a reader.
pub(crate) struct Output {
    lines: Receiver<String>,
    said: String,
}

impl Output {
    pub(crate) fn of(pipe: ChildStdout) -> Self {
        let (sender, lines) = mpsc::channel();
        // Ends with the pipe.
        thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.all(|line| sender.send(line).is_ok())
        });
        Self { lines, said: String::new() }
    }

    /// The next line with these words.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.line(deadline).unwrap_or_else(|_| panic!("no line with {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// All of it, once the program has ended.
    pub(crate) fn whole(&mut self) -> &str {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.line(deadline) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return &self.said,
                Err(RecvTimeoutError::Timeout) => panic!("the log does not end"),
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left)?;
        self.said += &line;
        self.said.push('\n');
        Ok(line)
    }
}

impl Demo {
    /// Looks for its secrets in all that it said. It has ended.
    pub(crate) fn check(&mut self) {
        if let Some(log) = &mut self.log {
            self.secrets.check("standard output", log.whole());
        }
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).expect("text");
        // A demo shows a key of its own in the lines to paste.
        let pasted = |line: &&str| line.contains("Bearer ") || line.contains("api_key=");
        let told: Vec<&str> = told.lines().filter(|line| !pasted(line)).collect();
        self.secrets.check("standard error", &told.join("\n"));
    }
}

#[test]
fn a_secret_that_gets_out_fails_its_test() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", "sk-first-key,sk-second-key")]);
    demo.post("sk-second-key", false).read_to_end(&mut Vec::new()).unwrap();
    let mut socket = std::net::TcpStream::connect(&demo.address).unwrap();
    let request = "GET /sk-second-key HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    socket.read_to_end(&mut Vec::new()).unwrap();
    demo.log().wait_for("\"level\":\"TRACE\"");
    demo.log().wait_for("/sk-second-key");
    let ended = catch_unwind(AssertUnwindSafe(|| drop(demo)));
    let complaint = *ended.unwrap_err().downcast::<String>().unwrap();
    assert!(complaint.starts_with("sk-second-key on standard output: {"), "{complaint}");
}
