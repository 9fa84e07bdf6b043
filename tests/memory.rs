//! Memory that runs short, by a source of readings that the test holds in its hand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use z2api_observability::memory_reading;
use z2api_tests::{Gateway, KEY, Level, PATIENCE, Reply};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const MIB: u64 = 1024 * 1024;
const PATH: &str = "/v1/chat/completions";
const LIMIT: (&str, &str) = ("MEMORY_LIMIT_MB", "100");

fn piece(text: &str) -> String {
    json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}})
        .to_string()
}

fn end() -> String {
    json!({"type": "chat:completion", "data": {"phase": "done", "done": true}}).to_string()
}

/// Says something, then nothing more.
fn stuck() -> Script {
    Script::events([piece("tide "), end()]).stall_after(1)
}

async fn gateway(plan: Script) -> (Gateway, Level) {
    let level = Level::default();
    let source = Some(level.source());
    (Gateway::with_memory(Dialect::ZaiWeb, plan, &[LIMIT], source).await, level)
}

async fn status(gateway: &Gateway) -> Value {
    gateway.get("/status").await.json().await
}

async fn until(gateway: &Gateway, what: impl Fn(&Value) -> bool) {
    let waiting = async {
        while !what(&status(gateway).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what was waited for");
}

async fn until_state(gateway: &Gateway, state: &str) {
    until(gateway, |status| status["memory_state"] == state).await;
}

async fn ask(gateway: &Gateway) -> Reply {
    gateway.chat("GLM-4.5", json!({"stream": true})).await
}

#[tokio::test]
async fn step_by_step_less_is_taken_and_then_all_again() {
    let (gateway, level) = gateway(stuck()).await;
    until_state(&gateway, "calm").await;
    let mut running = ask(&gateway).await;
    running.event().await.expect("a chunk");
    assert_eq!(running.header("connection"), None);

    level.set(76);
    until_state(&gateway, "tight").await;
    let second = ask(&gateway).await;
    assert_eq!((second.status, second.header("connection")), (200, Some("close")));

    level.set(86);
    until_state(&gateway, "refusing").await;
    let refused = ask(&gateway).await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    assert_eq!(refused.json().await["error"]["code"], "out_of_memory");
    assert_eq!(gateway.get("/health/ready").await.status, 503);
    assert_eq!(gateway.get("/health").await.status, 200);

    level.set(83);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(status(&gateway).await["memory_state"], "refusing", "it does not come and go");
    level.set(50);
    until_state(&gateway, "calm").await;
    assert_eq!(ask(&gateway).await.status, 200);
    // What ran was left alone.
    gateway.until(|gateway| gateway.in_flight() == 2).await;
    drop((running, second));
}

#[tokio::test]
async fn connections_to_the_upstream_are_kept_only_while_there_is_memory() {
    let (gateway, level) = gateway(Script::events([piece("tide "), end()])).await;
    until_state(&gateway, "calm").await;
    for _ in 0..3 {
        assert_eq!(ask(&gateway).await.events().await.last().unwrap(), "[DONE]");
    }
    assert_eq!(gateway.sim.connections(), 1, "the one is used again");
    level.set(76);
    until_state(&gateway, "tight").await;
    assert_eq!(ask(&gateway).await.events().await.last().unwrap(), "[DONE]");
    assert_eq!(gateway.sim.connections(), 2);
}

#[tokio::test]
async fn the_largest_stream_is_ended_with_an_error_and_the_others_are_not() {
    let (gateway, level) = gateway(stuck()).await;
    let mut small = ask(&gateway).await;
    small.event().await.expect("a chunk");
    let long = "word ".repeat(1000);
    let body = json!({"model": "GLM-4.5", "stream": true,
        "messages": [{"role": "user", "content": long}]});
    let mut large = gateway.post(&body).await;
    large.event().await.expect("a chunk");
    level.set(98);
    let events = large.events().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "out_of_memory");
    assert!(!events.iter().any(|event| event == "[DONE]" || event.contains("\"stop\"")));
    gateway.until(|gateway| gateway.in_flight() == 1).await;
    until_state(&gateway, "calm").await;
    assert_eq!(gateway.sim.open_streams(), 1, "the small one goes on");
    drop(small);
}

#[tokio::test]
async fn an_answer_in_one_piece_can_be_ended_too() {
    let (gateway, level) = gateway(stuck()).await;
    let asked = gateway.chat("GLM-4.5", json!({}));
    let shortage = async {
        gateway.until(|gateway| gateway.in_flight() == 1).await;
        level.set(98);
    };
    let (reply, ()) = tokio::join!(asked, shortage);
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json().await["error"]["code"], "out_of_memory");
}

/// The head of a chat request, and as much of its body.
async fn begin(gateway: &Gateway, length: &str, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // It may be refused before all of it is there.
    let _ = socket.write_all(body).await;
    socket
}

async fn answer(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_for_which_there_is_never_room_is_refused_before_it_is_read() {
    let (gateway, _) = gateway(stuck()).await;
    let declared = begin(&gateway, "content-length: 20971520", b"{").await;
    let answered = answer(declared).await;
    assert!(answered.starts_with("HTTP/1.1 413 "), "{answered}");
    assert!(answered.contains("MEMORY_LIMIT_MB"), "{answered}");
    // 16 MiB in chunks of 1 MiB.
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; MIB as usize], b"\r\n"].concat();
    let chunked = begin(&gateway, "transfer-encoding: chunked", &chunk.repeat(16)).await;
    let answered = answer(chunked).await;
    assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 413 "), "{answered}");
    until(&gateway, |status| status["memory_reserved_mb"] == 0).await;
}

#[tokio::test]
async fn bodies_that_come_together_have_room_together_or_are_refused() {
    let (gateway, _) = gateway(stuck()).await;
    // Most of what there is for bodies, though no byte of it has come.
    let slow = begin(&gateway, "content-length: 5000000", b"{").await;
    until(&gateway, |status| status["memory_reserved_mb"].as_u64() >= Some(25)).await;
    let second = begin(&gateway, "content-length: 3000000", b"{").await;
    let answered = answer(second).await;
    assert!(answered.starts_with("HTTP/1.1 503 "), "{answered}");
    assert!(answered.contains("out_of_memory") && answered.contains("retry-after"), "{answered}");
    assert_eq!(ask(&gateway).await.status, 200, "a small one has room");
    drop(slow);
    until(&gateway, |status| status["memory_reserved_mb"] == 0).await;
    let long = json!({"model": "GLM-4.5", "stream": true,
        "messages": [{"role": "user", "content": "x".repeat(6_500_000)}]});
    let mut running = gateway.post(&long).await;
    running.event().await.expect("a chunk");
    until(&gateway, |status| status["memory_reserved_mb"] == 0).await;
    assert_eq!(gateway.in_flight(), 1, "a request that has been sent needs no room any more");
}

/// What is kept at the end is what the system's own allocator would keep all the rest for.
#[tokio::test]
async fn memory_that_is_let_go_goes_back_to_the_system() {
    let before = memory_reading().resident;
    let burst = || {
        let mut boxes: Vec<Box<[u8]>> = (0..200_000).map(|_| vec![1; 1024].into()).collect();
        (memory_reading().resident, boxes.pop())
    };
    let (most, kept) = std::thread::spawn(burst).join().unwrap();
    assert!(most > before + 150 * MIB, "{before} {most}");
    let back = async {
        while memory_reading().resident > before + 75 * MIB {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("it goes back");
    drop(kept);
}
