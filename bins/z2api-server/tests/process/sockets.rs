//! Sockets handed over, descriptors run out, and what the exit code tells.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use super::*;

const KEY: &str = "sk-sockets-test";
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Runs the demo by a line of the shell, in which `$0` is the program.
fn by_shell(line: &str, variables: &[(&str, &str)], stdin: Stdio) -> Demo {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line, env!("CARGO_BIN_EXE_z2api-server")]).env_clear();
    shell.env("DEFAULT_KEY", KEY).env("RUST_LOG", "trace").envs(variables.iter().copied());
    shell.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    Demo::spawn(shell).watched(&[("DEFAULT_KEY", KEY)])
}

/// Runs the demo on a socket that is handed over, as systemd does it.
fn on(socket: &TcpListener) -> Demo {
    let handed = OwnedFd::from(socket.try_clone().unwrap());
    let line = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" --demo"#;
    // Not to be used: the socket has an address already.
    by_shell(line, &[("PORT", "1")], handed.into())
}

fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn restarts_behind_a_socket_that_is_handed_over_refuse_nobody() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let over = over.clone();
            let body = r#"{"model":"GLM-4.5","messages":[{"role":"user","content":"x"}]}"#;
            let request = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\
                 connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            thread::spawn(move || {
                let mut asked = 0;
                while !over.load(Relaxed) {
                    for request in [HEALTH, request.as_bytes()] {
                        let answer = ask(address, request).expect("no reset, no refusal");
                        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                        asked += 1;
                    }
                }
                asked
            })
        })
        .collect();
    let mut running = on(&socket);
    assert_eq!(running.address, address.to_string());
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(100));
        running.signal("-TERM");
        let next = on(&socket);
        assert_eq!(running.wait().code(), Some(0));
        running = next;
    }
    over.store(true, Relaxed);
    let asked: u32 = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    assert!(asked > 6, "{asked}");
}

#[test]
fn what_is_handed_over_must_be_one_socket_to_listen_on() {
    let line = r#"exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" --demo"#;
    let two = r#"exec 3</dev/null 4</dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec "$0" --demo"#;
    for line in [line, two] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line, env!("CARGO_BIN_EXE_z2api-server")]).env_clear();
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("LISTEN_FDS"), "{said}");
    }
}

#[test]
fn the_exit_code_tells_that_requests_were_cut_off() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", KEY), ("SHUTDOWN_GRACE", "0")]);
    let mut stream = demo.post(KEY, true);
    stream.read_exact(&mut [0; 400]).expect("the stream begins");
    demo.signal("-TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("no reset");
    assert!(rest.contains("server_shutting_down") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(demo.wait().code(), Some(3));
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace() {
    let mut demo = Demo::start(&[("DEFAULT_KEY", KEY), ("SHUTDOWN_GRACE", "3600")]);
    let mut stream = demo.post(KEY, true);
    stream.read_exact(&mut [0; 400]).expect("the stream begins");
    demo.signal("-TERM");
    demo.signal("-INT");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("no reset");
    assert!(rest.contains("server_shutting_down"), "{rest}");
    assert_eq!(demo.wait().code(), Some(3));
}

#[test]
fn the_limit_of_open_files_is_raised_and_told() {
    let line = r#"ulimit -S -n 100; ulimit -H -n 500; exec "$0" --demo"#;
    let mut demo = by_shell(line, &[("PORT", "0")], Stdio::null());
    let mut said = String::new();
    while !said.contains("streams at once") {
        assert_ne!(demo.stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let warning = "warning: The limit of 500 open files has room for 186 streams at once; \
                   MAX_CONCURRENT_CONNECTIONS is 1000.";
    assert!(said.contains(warning), "{said}");
}

/// More connections are allowed than there are descriptors.
#[test]
fn without_a_descriptor_left_the_gateway_turns_away_and_goes_on() {
    let line = r#"ulimit -n 64; exec "$0" --demo"#;
    let variables = [("PORT", "0"), ("MAX_CLIENT_CONNECTIONS", "1000")];
    let mut demo = by_shell(line, &variables, Stdio::null());
    let address: SocketAddr = demo.address.parse().unwrap();
    let kept = TcpStream::connect(address).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let is_well = |mut socket: &TcpStream| {
        socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"{\"status\":\"ok\"}") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("an answer");
            got.push(byte[0]);
        }
    };
    is_well(&kept);
    let mut silent = Vec::new();
    let mut turned_away = 0;
    for _ in 0..120 {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut answer = [0; 12];
        match peer.read_exact(&mut answer) {
            Ok(()) => {
                assert_eq!(&answer, b"HTTP/1.1 503");
                turned_away += 1;
            }
            Err(_) => silent.push(peer),
        }
    }
    assert!(turned_away > 0, "{} are silent", silent.len());
    is_well(&kept);
    drop(silent);
    let deadline = Instant::now() + PATIENCE;
    while !ask(address, HEALTH).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        assert!(Instant::now() < deadline, "it never recovered");
        thread::sleep(Duration::from_millis(20));
    }
    drop(kept);
    let log = demo.end();
    let told = log.lines().filter(|line| line.contains("cannot accept")).count();
    assert!((1..60).contains(&told), "told once a second: {told}");
}
