//! Answers in HTTP/1.1 as peers frame them, rightly and wrongly.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use z2api_upstream_client::{Chat, Client};

use crate::support::{API_FINISH, LONG, answer, api_text, ask, drain, framed, settings_for};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// A peer that reads a request's head, says this and closes; and a client for it.
async fn peer(says: String) -> (Client, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // It may be hung up on.
            let _ = meet(socket, &says).await;
        }
    });
    let mut settings = settings_for(&url);
    settings.retry.retries = 0;
    (Client::new(settings).unwrap(), tasks)
}

async fn meet(mut socket: TcpStream, says: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    socket.write_all(says.as_bytes()).await?;
    socket.shutdown().await?;
    // Until the client has gone, so that nothing it sends resets what was said.
    let mut rest = vec![0; 64 * 1024];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The text of the answer, and the kind of the error it ends with.
async fn heard(says: String) -> (String, Option<&'static str>) {
    let (client, _peer) = peer(says).await;
    let started = timeout(LONG, ask(&client)).await.expect("an answer");
    let events = match started {
        Ok(started) => started.events,
        Err(failed) => return (String::new(), Some(failed.error.kind())),
    };
    let (events, error) = timeout(LONG, drain(events)).await.expect("an end");
    (answer(&events), error.map(|error| error.kind()))
}

#[tokio::test]
async fn chunks_extensions_trailers_and_interim_answers_are_understood() {
    let (first, second) =
        (framed(&[&api_text("fi")]), framed(&[&api_text("ne"), API_FINISH, "[DONE]"]));
    let (a, b) = first.split_at(7);
    let chunks = chunk(a) + &chunk(b) + &format!("{:X} ;a=\"b\"\r\n{second}\r\n", second.len());
    for says in [
        format!("{HEAD}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: CHUNKED\r\n\r\n{chunks}00;x\r\na: b\r\nc: d\r\n\r\n"),
        format!("HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n{HEAD}\r\n{first}{second}"),
        format!("{HEAD}content-length: {}\r\n\r\n{first}{second}", first.len() + second.len()),
        format!("HTTP/1.0 200 OK\ncontent-type: text/event-stream\n\n{first}{second}"),
    ] {
        assert_eq!(heard(says.clone()).await, ("fine".to_owned(), None), "{says}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_malformed_gives_what_was_good_and_an_error() {
    let good = framed(&[&api_text("fi")]);
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{}", chunk(&good));
    for says in [
        chunked.clone(),
        format!("{chunked}no size\r\n"),
        format!("{chunked}ffffffffffffffff1\r\n"),
        format!("{chunked}40\r\nhalf of it"),
        format!("{HEAD}content-length: 1000\r\n\r\n{good}"),
    ] {
        let expected = ("fi".to_owned(), Some("upstream_disconnected"));
        assert_eq!(heard(says.clone()).await, expected, "{says}");
    }
}

#[tokio::test]
async fn a_head_that_two_could_read_in_two_ways_is_an_error() {
    let whole = framed(&[&api_text("fine"), API_FINISH, "[DONE]"]);
    for header in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: +1\r\n",
        "content-length: 1, 1\r\n",
        "a header: x\r\n",
    ] {
        let says = format!("{HEAD}{header}\r\n{whole}");
        assert_eq!(heard(says).await, (String::new(), Some("upstream_disconnected")), "{header}");
    }
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_whole_request_is_read_is_heard() {
    let body = r#"{"error":{"code":"1210","message":"too large"}}"#;
    let length = body.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n";
    let (client, _peer) = peer(format!("{head}content-length: {length}\r\n\r\n{body}")).await;
    let chat = Chat::ask("a-model", "x".repeat(20_000_000));
    let asked = timeout(LONG, client.chat(&chat)).await.expect("an answer");
    let failed = asked.unwrap_err();
    assert!(failed.error.kind() != "upstream_disconnected", "{failed}");
}

#[tokio::test]
async fn an_answer_that_begins_before_the_whole_request_is_read_goes_on_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let question = "x".repeat(20_000_000);
    let peer = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.readable().await.unwrap();
        let begin = framed(&[&api_text("fi")]);
        socket.write_all(format!("{HEAD}\r\n{begin}").as_bytes()).await.unwrap();
        let mut read = vec![0; 20_000_000];
        socket.read_exact(&mut read).await.unwrap();
        let end = framed(&[&api_text("ne"), API_FINISH, "[DONE]"]);
        socket.write_all(end.as_bytes()).await.unwrap();
    });
    let client = Client::new(settings_for(&url)).unwrap();
    let asked = timeout(LONG, client.chat(&Chat::ask("a-model", &question))).await;
    let events = asked.expect("a beginning").unwrap().events;
    let (events, error) = timeout(LONG, drain(events)).await.expect("an end");
    assert_eq!((answer(&events).as_str(), error), ("fine", None));
    peer.await.unwrap();
}
