//! The simulator as a program.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::client::{API, Client, WEB};

/// The running program; killed when a test is over.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program on a free port; gives the two URLs it prints.
fn start(arguments: &[&str]) -> (Program, [String; 2]) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_z2api-upstream-sim"))
        .args(["--port", "0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let urls = [(); 2].map(|()| lines.next().unwrap().unwrap());
    (Program(child), urls)
}

fn addr_in(url: &str) -> std::net::SocketAddr {
    url.split('/').nth(2).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_program_serves_both_dialects() {
    let (_program, [web, api]) = start(&["--bytes", "500", "--thinking", "100"]);
    assert!(web.ends_with(WEB) && api.ends_with(API));
    let mut client = Client::connect(addr_in(&web)).await;
    assert!(client.chat(WEB, "t", "{}").await.text().contains(r#""edit_index":32"#));
    let text = client.chat(API, "t", "{}").await.text();
    assert!(text.contains("reasoning_content") && text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn the_program_replays_a_file_event_by_event() {
    let path = std::env::temp_dir().join(format!("z2api-upstream-sim-{}.sse", std::process::id()));
    std::fs::write(&path, "data: a\n\ndata: b\n\ndata: c").unwrap();
    let (_program, [web, _]) = start(&["--file", path.to_str().unwrap(), "--cut-after", "2"]);
    std::fs::remove_file(&path).unwrap();
    let mut client = Client::connect(addr_in(&web)).await;
    client.ask(WEB, "t", "{}").await;
    client.head().await;
    let (body, end) = client.rest().await;
    assert_eq!(body, b"9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n");
    assert!(end.is_ok());
}

#[tokio::test]
async fn the_program_refuses_first_and_answers_then() {
    let (_program, [web, _]) =
        start(&["--bytes", "9", "--fail-first", "2", "--fail-status", "401"]);
    let mut client = Client::connect(addr_in(&web)).await;
    for expected in [401, 401, 200] {
        assert_eq!(client.chat(WEB, "t", "{}").await.status, expected);
    }
}

#[tokio::test]
async fn the_program_fails_first_or_midway_in_the_words_of_the_dialect() {
    for (after, events) in [("0", 1), ("2", 3)] {
        let (_program, [web, api]) = start(&["--bytes", "99", "--error-after", after]);
        let mut client = Client::connect(addr_in(&web)).await;
        let text = client.chat(WEB, "t", "{}").await.text();
        assert_eq!(text.matches("data: ").count(), events);
        assert!(text.contains("INTERNAL_ERROR"), "{text}");
        let mut client = Client::connect(addr_in(&api)).await;
        assert!(client.chat(API, "t", "{}").await.text().contains(r#""code":"1234""#));
    }
    let broken = ["--bytes", "99", "--error-after", "1", "--error-event", "{\"data\":"];
    let (_program, [web, _]) = start(&broken);
    let text = Client::connect(addr_in(&web)).await.chat(WEB, "t", "{}").await.text();
    assert!(text.ends_with("data: {\"data\":\n\n"), "{text}");
}

#[tokio::test]
async fn the_program_refuses_with_the_body_it_is_given() {
    let (_program, [web, _]) = start(&["--status", "403", "--body", "{\"detail\":\"mine\"}"]);
    let reply = Client::connect(addr_in(&web)).await.chat(WEB, "t", "{}").await;
    assert_eq!((reply.status, reply.text().as_str()), (403, "{\"detail\":\"mine\"}"));
}

#[tokio::test]
async fn the_program_answers_as_the_prompt_says_and_tells_what_it_was_asked() {
    let (_program, [_, api]) = start(&["--prompted"]);
    let mut client = Client::connect(addr_in(&api)).await;
    let body = r#"{"messages":[{"role":"user","content":"{\"say\":\"So be it\",\"piece\":99}"}]}"#;
    assert!(client.chat(API, "t", body).await.text().contains(r#""content":"So be it""#));
    let asked = client.get("/sim/chats").await.text();
    assert!(asked.contains(r#""outcome":"whole""#) && asked.contains("So be it"), "{asked}");
}

#[cfg(unix)]
#[test]
fn the_program_ends_well_when_told_to() {
    let (mut program, _) = start(&["--status", "500"]);
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.0.wait().unwrap().success());
}
