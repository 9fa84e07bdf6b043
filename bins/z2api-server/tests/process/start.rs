//! Starting, serving, stopping.

use std::net::TcpListener;

use super::*;

#[test]
fn bad_settings_are_told_a_line_each_and_exit_with_78() {
    // The port is taken: that is not even tried.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let bad = [("DEFAULT_KEY", "123456"), ("MAX_RETRIES", "-1"), ("UPSTREAM_DIALECT", "french")];
    let output = program().envs(bad).env("PORT", &port).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for start in ["DEFAULT_KEY=****:", "UPSTREAM_DIALECT=\"french\":", "MAX_RETRIES=\"-1\":"] {
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
    let mut demo = Demo::start(&[("RUST_LOG", "")]);
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
    let stdout = demo.end();
    let kinds: Vec<bool> = stdout.lines().map(|line| line.starts_with('{')).collect();
    assert_eq!(kinds, [true, true], "one line in, one out, nothing else: {stdout}");
    assert!(!stdout.contains(&key));
}

#[test]
fn as_many_threads_serve_connections_as_are_wanted() {
    for wanted in [1, 3] {
        let count = wanted.to_string();
        let mut demo =
            Demo::start(&[("DEFAULT_KEY", "sk-process-test"), ("WORKER_THREADS", &count)]);
        // Twice as many as threads at once, so that each has some.
        let sockets: Vec<TcpStream> =
            (0..2 * wanted).map(|_| demo.post("sk-process-test", true)).collect();
        for mut socket in sockets {
            let mut answer = String::new();
            socket.read_to_string(&mut answer).expect("a whole answer");
            assert!(answer.contains("data: [DONE]"), "{answer}");
        }
        let threads = std::fs::read_dir(format!("/proc/{}/task", demo.child.id())).unwrap();
        let names = threads.map(|thread| thread.unwrap().path().join("comm"));
        let names = names.map(|name| std::fs::read_to_string(name).unwrap_or_default());
        assert_eq!(names.filter(|name| name.trim() == "z2api-worker").count(), wanted);
        demo.end();
    }
}

#[test]
fn a_signal_lets_the_running_stream_finish() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", "sk-process-test")]);
    let mut stream = demo.post("sk-process-test", true);
    let mut start = [0; 400];
    stream.read_exact(&mut start).expect("the stream begins");
    demo.signal("-TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the stream goes on");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn debug_lines_come_when_asked_for_and_rust_log_wins() {
    let debug_lines = |variables: &[(&str, &str)]| {
        let mut demo = Demo::start(variables);
        let mut socket = TcpStream::connect(&demo.address).unwrap();
        socket.write_all(b"this is not HTTP\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        demo.end().lines().filter(|line| line.contains("\"level\":\"DEBUG\"")).count()
    };
    assert_eq!(debug_lines(&[("RUST_LOG", "")]), 0);
    assert!(debug_lines(&[("DEBUG_MODE", "true"), ("RUST_LOG", "")]) > 0);
    assert_eq!(debug_lines(&[("DEBUG_MODE", "true"), ("RUST_LOG", "error")]), 0);
}

#[test]
fn proxies_of_the_environment_are_not_heeded() {
    let nowhere = "http://127.0.0.1:1";
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
    let mut variables = names.map(|name| (name, nowhere)).to_vec();
    variables.push(("DEFAULT_KEY", "sk-process-test"));
    let demo = Demo::start(&variables);
    assert_eq!(status(demo.post("sk-process-test", false)), 200);
}

#[test]
fn the_gateway_listens_where_it_is_told() {
    for (host, expected) in
        [("", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("localhost", "127.0.0.1")]
    {
        let demo = Demo::start(&[("HOST", host)]);
        assert_eq!(demo.address.split(':').next(), Some(expected));
        assert_eq!(status(demo.post("no-key", false)), 401);
    }
}

#[test]
fn lines_for_people_are_lines_too() {
    let variables =
        [("LOG_FORMAT", "pretty"), ("DEFAULT_KEY", "sk-process-test"), ("RUST_LOG", "")];
    let mut demo = Demo::start(&variables);
    assert_eq!(status(demo.post("sk-process-test", false)), 200);
    let log = demo.end();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(" INFO  request request_id=req_"), "{log}");
    assert!(lines[1].contains(" status_code=200 "), "{log}");
}
