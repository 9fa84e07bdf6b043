//! HTTP/1.1 connections: which are used again, and which are closed, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use z2api_upstream_client::{Client, Dialect};
use z2api_upstream_sim::{Script, Sim};

use crate::secure::{Manner, Reply, Secure};
use crate::support::{
    API_FINISH, LONG, WEB_DONE, api_text, ask, ask_whole, client, framed, settings, settings_for,
    web_text,
};

/// How a peer marks where its answer ends.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunks,
    /// By closing the connection.
    Close,
}

/// An upstream that answers whatever is asked, and can close what is idle.
struct Peer {
    url: String,
    connections: Arc<AtomicUsize>,
    /// Tells of each connection that the client has closed.
    closed: UnboundedReceiver<()>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// It closes a connection after so many answers, without saying so before.
    async fn start(framing: Framing, answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
        let (connections, (tell, closed)) = (Arc::new(AtomicUsize::new(0)), unbounded_channel());
        let (count, mut tasks) = (Arc::clone(&connections), JoinSet::new());
        tasks.spawn(async move {
            let mut meetings = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let tell = tell.clone();
                meetings.spawn(async move {
                    if meet(socket, framing, answers).await.is_ok() {
                        let _nobody_listens = tell.send(());
                    }
                });
            }
        });
        Self { url, connections, closed, _tasks: tasks }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Ends when the client has closed the connection.
async fn meet(socket: TcpStream, framing: Framing, answers: usize) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    for _ in 0..answers {
        let Some(length) = head(&mut socket).await? else { return Ok(()) };
        socket.read_exact(&mut vec![0; length]).await?;
        socket.write_all(answer(framing).as_bytes()).await?;
    }
    socket.get_mut().shutdown().await?;
    // Nothing more comes but the end.
    socket.read_to_end(&mut Vec::new()).await.map(drop)
}

/// Reads a head; the length of its body.
async fn head(socket: &mut BufReader<TcpStream>) -> std::io::Result<Option<usize>> {
    let (mut length, mut line) = (0, String::new());
    while socket.read_line(&mut line).await? > 0 {
        if line == "\r\n" {
            return Ok(Some(length));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    Ok(None)
}

fn answer(framing: Framing) -> String {
    let body = framed(&[&api_text("fine"), API_FINISH, "[DONE]"]);
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    match framing {
        Framing::Length => format!("{head}content-length: {length}\r\n\r\n{body}"),
        Framing::Chunks => {
            format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
        }
        Framing::Close => format!("{head}\r\n{body}"),
    }
}

#[tokio::test]
async fn one_connection_serves_one_answer_after_another_wherever_their_ends_are_marked() {
    for framing in [Framing::Length, Framing::Chunks] {
        let peer = Peer::start(framing, usize::MAX).await;
        let client = Client::new(settings_for(&peer.url)).unwrap();
        for _ in 0..20 {
            assert_eq!(ask_whole(&client).await, "fine");
        }
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let peer = Peer::start(Framing::Close, 1).await;
    let client = Client::new(settings_for(&peer.url)).unwrap();
    for asked in 1..=5 {
        assert_eq!(ask_whole(&client).await, "fine");
        assert_eq!(peer.connections(), asked);
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_an_answer_that_was_dropped() {
    let script = Script::events([web_text("x"), web_text("y")]).stall_after(1);
    let sim = Sim::start(script).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    for asked in 1..=5 {
        drop(ask(&client).await.unwrap().events);
        assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
        assert_eq!(sim.connections(), asked);
    }
}

#[tokio::test]
async fn a_connection_whose_last_chunk_comes_after_the_end_mark_is_used_again() {
    let fine = Script::events([web_text("fine").as_str(), WEB_DONE]);
    let sim = Sim::start(fine.end_after(Duration::from_millis(50))).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    for _ in 0..3 {
        assert_eq!(ask_whole(&client).await, "fine");
        assert_eq!(sim.open_streams(), 1, "nobody has waited for the last chunk");
        assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
        // It is sent by then, and read a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sim.connections(), 1);
}

#[tokio::test]
async fn a_connection_whose_answer_does_not_end_after_the_end_mark_is_closed() {
    let fine = Script::events([web_text("fine").as_str(), WEB_DONE]);
    let sim = Sim::start(fine.stall_after(2)).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    assert_eq!(ask_whole(&client).await, "fine");
    assert!(sim.until(|sim| sim.open_streams() == 0, LONG).await);
    assert_eq!(ask_whole(&client).await, "fine");
    assert_eq!(sim.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced_unnoticed() {
    let peer = Peer::start(Framing::Chunks, 2).await;
    let mut settings = settings_for(&peer.url);
    settings.retry.retries = 0;
    let client = Client::new(settings).unwrap();
    for asked in 1..=20 {
        // Its end has arrived: without that, it would be anybody's guess whether a request has.
        let connections = peer.connections();
        assert_eq!(ask_whole(&client).await, "fine");
        if asked % 2 == 0 {
            assert_eq!(peer.connections(), connections);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(peer.connections(), 10);
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_has_closed_is_closed_here_too() {
    let mut peer = Peer::start(Framing::Chunks, 1).await;
    let client = Client::new(settings_for(&peer.url)).unwrap();
    assert_eq!(ask_whole(&client).await, "fine");
    // Without another request, and long before it would be too old.
    timeout(LONG, peer.closed.recv()).await.expect("it is closed").unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_half_a_minute() {
    let mut peer = Peer::start(Framing::Chunks, usize::MAX).await;
    let client = Client::new(settings_for(&peer.url)).unwrap();
    assert_eq!(ask_whole(&client).await, "fine");
    tokio::time::pause();
    let idle = Instant::now();
    peer.closed.recv().await.unwrap();
    let seconds = idle.elapsed().as_secs_f64();
    assert!((29.0..32.0).contains(&seconds), "{seconds}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn idle_connections_can_be_closed_and_the_others_go_on() {
    let sim =
        Sim::start(Script::events([web_text("x"), web_text("y")]).stall_after(1)).await.unwrap();
    let client = client(&sim, Dialect::ZaiWeb);
    let running = ask(&client).await.unwrap();
    sim.set_plan(Script::events([web_text("fine"), WEB_DONE.to_owned()]));
    for connections in [2, 2] {
        assert_eq!(ask_whole(&client).await, "fine");
        assert_eq!(sim.connections(), connections);
    }
    client.close_idle();
    assert_eq!(ask_whole(&client).await, "fine");
    assert_eq!((sim.connections(), sim.open_streams()), (3, 1));
    drop(running);
}

#[tokio::test]
async fn an_idle_http2_connection_can_be_closed() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Fine).await;
    let client = upstream.client();
    for connections in 1..=3 {
        assert_eq!(ask_whole(&client).await, "fine");
        assert_eq!(upstream.connections(), connections);
        client.close_idle();
    }
}

#[tokio::test]
async fn idle_connections_close_with_their_client() {
    let mut peer = Peer::start(Framing::Length, usize::MAX).await;
    let client = Client::new(settings_for(&peer.url)).unwrap();
    assert_eq!(ask_whole(&client).await, "fine");
    drop(client);
    timeout(LONG, peer.closed.recv()).await.expect("it is closed").unwrap();
}

#[tokio::test]
async fn an_upstream_behind_tls_that_speaks_http_1_has_one_connection_for_one_answer_after_another()
{
    let manner = Manner { protocols: vec!["http/1.1"], ..Manner::default() };
    let upstream = Secure::start(manner, |_| Reply::Fine).await;
    let client = upstream.client();
    for _ in 0..10 {
        assert_eq!(ask_whole(&client).await, "fine");
    }
    assert_eq!((upstream.connections(), upstream.versions().len()), (1, 10));
}

/// Each runtime has connections of its own: it alone can drive them.
#[test]
fn a_client_outlives_a_runtime_that_used_it() {
    let own = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let upstream = own();
    let fine = Script::events([web_text("fine").as_str(), WEB_DONE]);
    let sim = upstream.block_on(Sim::start(fine)).unwrap();
    let stop = Arc::new(tokio::sync::Notify::new());
    let serving = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || upstream.block_on(stop.notified())
    });
    let client = Client::new(settings(&sim, Dialect::ZaiWeb)).unwrap();
    for _ in 0..3 {
        let runtime = own();
        for _ in 0..3 {
            assert_eq!(runtime.block_on(ask_whole(&client)), "fine");
        }
    }
    assert_eq!(sim.connections(), 3);
    stop.notify_one();
    serving.join().unwrap();
}
