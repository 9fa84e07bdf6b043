//! Peers that break HTTP, or never get to speak it.

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use z2api_upstream_client::{Client, Dialect, Failed, Settings, Started};
use z2api_upstream_sim::{Script, Sim};

use crate::support::{API_FINISH, LONG, SHORT, api_text, ask, framed, settings, settings_for};

/// What a peer does with a connection on which a request has arrived.
#[derive(Clone, Copy)]
enum Deed {
    Reset,
    Close,
    /// Says this again and again until nobody listens.
    Repeat(&'static str),
    Answer,
}

/// A peer that does this with its connections, the last of it with all further ones; gives its URL.
async fn peer(deeds: &'static [Deed]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut meetings = JoinSet::new();
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            let deed = deeds[number.min(deeds.len() - 1)];
            // It ends with the client's hanging up, whatever that looks like from here.
            meetings.spawn(meet(socket, deed));
        }
    });
    url
}

async fn meet(mut socket: TcpStream, deed: Deed) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    match deed {
        Deed::Reset => socket.set_zero_linger(),
        Deed::Close => {
            let mut rest = [0; 1000];
            let _body = socket.read(&mut rest).await?;
            Ok(())
        }
        Deed::Repeat(text) => loop {
            socket.write_all(text.as_bytes()).await?;
        },
        Deed::Answer => {
            let body = framed(&[&api_text("fine"), API_FINISH, "[DONE]"]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close";
            socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_is_tried_again() {
    let deeds: [&[Deed]; 2] =
        [&[Deed::Reset, Deed::Answer], &[Deed::Close, Deed::Close, Deed::Answer]];
    for deeds in deeds {
        let client = Client::new(settings_for(&peer(deeds).await)).unwrap();
        assert_eq!(ask(&client).await.unwrap().attempts as usize, deeds.len());
    }
    let client = Client::new(settings_for(&peer(&[Deed::Reset]).await)).unwrap();
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_disconnected", 4));
}

#[tokio::test]
async fn heads_and_interim_answers_without_end_are_cut_off() {
    let floods = [
        "HTTP/1.1 200 OK\r\nx-header: a-value-of-some-length\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
        "not a word of HTTP",
    ];
    for flood in floods {
        let url = peer(Box::leak(Box::new([Deed::Repeat(flood)]))).await;
        let mut settings = settings_for(&url);
        settings.retry.retries = 0;
        settings.timeouts.first_event = SHORT * 4;
        let client = Client::new(settings).unwrap();
        let asked = tokio::time::timeout(LONG, ask(&client)).await;
        let kind = asked.unwrap().unwrap_err().error.kind();
        let kinds = ["upstream_disconnected", "upstream_first_event_timeout"];
        assert!(kinds.contains(&kind), "{flood}: {kind}");
    }
}

#[tokio::test]
async fn an_event_without_end_is_an_error_and_closes_the_connection() {
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let endless = Script::sse(format!("data: {}", "x".repeat(10_000))).endless();
        let sim = Sim::start(endless).await.unwrap();
        let mut settings = settings(&sim, dialect);
        settings.max_event_bytes = 1_000_000;
        let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_malformed", 1));
        assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_a_failed_connection() {
    // Too long for any name service to be asked.
    let host = format!("{}.invalid", "a".repeat(64));
    let mut settings = settings_for(&format!("http://{host}/v1/chat/completions"));
    settings.allow_http = true;
    let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_connect", 4));
    assert!(!failed.to_string().contains("://"), "{failed}");
}

/// Asks with and without an offer of HTTP/2.
async fn both_ways(url: &str, change: impl Fn(&mut Settings)) -> Vec<Result<Started, Failed>> {
    let ask_with = |http2| {
        let mut settings = settings_for(url);
        settings.http2 = http2;
        change(&mut settings);
        async move { ask(&Client::new(settings).unwrap()).await }
    };
    join_all([ask_with(true), ask_with(false)]).await
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_greeting_is_a_connection_that_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1/chat/completions", listener.local_addr().unwrap());
    let asked = both_ways(&url, |settings| {
        settings.timeouts.connect = SHORT;
        settings.retry.retries = 1;
    });
    for asked in asked.await {
        let failed = asked.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_connect", 2), "{failed}");
    }
}
