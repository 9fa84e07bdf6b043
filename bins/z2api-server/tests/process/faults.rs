//! Faults of the host and of our own: a log that nobody reads or that cannot be written, a panic.

use std::fs::File;
use std::io::Read;

use super::*;

const KEY: &str = "sk-process-test";

/// A demo with standard output of the test's own.
fn demo_writing_to(stdout: Stdio) -> Demo {
    let mut program = program();
    program.arg("--demo").env("PORT", "0").env("DEFAULT_KEY", KEY).stdout(stdout);
    Demo::spawn(program)
}

/// Asks so many times on one connection, each time once there is an answer.
fn ask_often(demo: &Demo, times: usize) {
    let mut socket = TcpStream::connect(&demo.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap());
    for _ in 0..times {
        socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(answers.read_line(&mut line).unwrap(), 0, "an answer");
        }
        let mut body = [0; r#"{"status":"ok"}"#.len()];
        answers.read_exact(&mut body).unwrap();
    }
}

fn dropped(demo: &Demo) -> u64 {
    let mut socket = TcpStream::connect(&demo.address).unwrap();
    socket.write_all(b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, count) = answer.split_once("\"log_lines_dropped\":").expect(&answer);
    count.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing_and_what_is_lost_is_told() {
    let mut demo = demo_writing_to(Stdio::piped());
    let mut asked = 0;
    // Until pipe and queue are full, and lines are dropped.
    while dropped(&demo) == 0 {
        ask_often(&demo, 1000);
        asked += 1000;
        assert!(asked < 100_000, "the queue has no bound");
    }
    ask_often(&demo, 10);
    let mut answer = String::new();
    demo.post(KEY, true).read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.contains("data: [DONE]"), "{answer}");
    // Read again: all that was kept, and how much was not.
    let mut lines = BufReader::new(demo.child.stdout.take().unwrap()).lines();
    let told = lines.find(|line| line.as_ref().unwrap().contains("log_dropped")).unwrap().unwrap();
    let (_, count) = told.split_once("\"count\":").expect(&told);
    assert!(count.trim_end_matches('}').parse::<u64>().unwrap() > 0, "{told}");
}

#[test]
fn a_stop_does_not_wait_for_a_log_that_nobody_reads() {
    let mut demo = demo_writing_to(Stdio::piped());
    ask_often(&demo, 500);
    demo.signal("-TERM");
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut demo = demo_writing_to(full.into());
    ask_often(&demo, 100);
    let mut answer = String::new();
    demo.post(KEY, true).read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.contains("data: [DONE]"), "{answer}");
    assert!(dropped(&demo) > 0);
    demo.signal("-TERM");
    assert_eq!(demo.wait().code(), Some(0));
}

/// Asks with the key and a question, and wants a panic in this place. Answers what came.
#[cfg(debug_assertions)]
fn ask_for_panic(demo: &Demo, key: &str, (path, asks): (&str, &str), place: &str) -> String {
    let body =
        format!(r#"{{"model":"GLM-4.5","stream":{},"max_tokens":9,{asks}}}"#, place == "stream");
    let mut socket = TcpStream::connect(&demo.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        socket,
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         x-test-panic: {place}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Only a debug build panics on request.
#[cfg(debug_assertions)]
#[test]
fn a_panic_is_a_line_of_the_log_that_tells_where_and_nothing_of_the_request() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", KEY)]);
    let asks = r#""messages":[{"role":"user","content":"hi"}]"#;
    let answer = ask_for_panic(&demo, KEY, ("/v1/chat/completions", asks), "handler");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let log = demo.end();
    let line = log.lines().find(|line| line.contains(r#""type":"panic""#)).expect(&log);
    assert!(line.contains("faults.rs:") && line.contains("\"ERROR\""), "{line}");
    let mut stderr = String::new();
    demo.stderr.read_to_string(&mut stderr).unwrap();
    assert!(!log.contains("secret words") && !stderr.contains("secret words"), "{stderr}");
}

/// All that the program says, on both of its outputs, at the finest level.
#[cfg(debug_assertions)]
#[test]
fn no_secret_is_in_what_the_program_says_though_it_panics() {
    let secrets = [
        // A demo shows the first one.
        ("DEFAULT_KEY", "sk-process-test,sk-canary-0123456789"),
        ("ADMIN_KEY", "canary-admin-key-6b1f0a97"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary-collector-key-5d20"),
    ];
    let mut demo = Demo::start(&secrets);
    let messages = r#""messages":[{"role":"user","content":"canary question"}]"#;
    let apis = [
        ("/v1/chat/completions", messages),
        ("/v1/completions", r#""prompt":"canary prompt""#),
        ("/v1/messages", messages),
        ("/v1/responses", r#""input":"canary input""#),
    ];
    for api in apis {
        for place in ["handler", "stream"] {
            let answer = ask_for_panic(&demo, "sk-canary-0123456789", api, place);
            assert!(answer.contains("error"), "{api:?} {place}: {answer}");
        }
    }
    let mut said = demo.end();
    demo.stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said.matches(r#""type":"panic""#).count(), 2 * apis.len(), "each is told");
    assert!(said.contains(r#""level":"TRACE""#), "the finest level");
    // The masked key has its beginning.
    for secret in ["canary-", "canary ", "secret words"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
