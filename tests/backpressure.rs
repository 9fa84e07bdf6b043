//! A client that reads slowly slows the upstream, and loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use z2api_tests::{Gateway, PATIENCE, Raw, Reply, chat_request};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const END: &str = r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#;

fn piece(text: &str) -> String {
    json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}})
        .to_string()
}

/// An upstream that writes for as long as it is read, and counts.
async fn counting_upstream() -> (SocketAddr, Arc<AtomicU64>) {
    let socket = TcpSocket::new_v4().unwrap();
    // What waits in the kernel counts as read: it should be little.
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let counter = taken.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(write_for_ever(stream, counter.clone()));
        }
    });
    (address, taken)
}

async fn write_for_ever(mut stream: TcpStream, taken: Arc<AtomicU64>) {
    let mut request = [0; 65536];
    let _ = stream.read(&mut request).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let _ = stream.write_all(head.as_bytes()).await;
    let event = format!("data: {}\n\n", piece(&"x".repeat(900)));
    while let Ok(bytes @ 1..) = stream.write(event.as_bytes()).await {
        taken.fetch_add(bytes as u64, Relaxed);
        // A part of an event would be none.
        if bytes < event.len() && stream.write_all(&event.as_bytes()[bytes..]).await.is_err() {
            return;
        }
    }
}

/// How much is taken of an upstream's answer until that comes to rest.
async fn taken_by_one_who_does_not_read(buffer: &str) -> u64 {
    let (upstream, taken) = counting_upstream().await;
    let url = format!("http://{upstream}/api/chat/completions");
    let variables = [
        ("UPSTREAM_URL", url.as_str()),
        ("UPSTREAM_TOKEN", "a-token"),
        ("STREAM_BUFFER_SIZE", buffer),
    ];
    let gateway = Gateway::with(Dialect::ZaiWeb, Script::events([END]), &variables).await;
    let mut never = Raw::with_small_window(gateway.address, 4096).await;
    never.send(chat_request(true, "")).await;
    let rests = async {
        loop {
            let before = taken.load(Relaxed);
            sleep(Duration::from_millis(300)).await;
            if before > 0 && before == taken.load(Relaxed) {
                return before;
            }
        }
    };
    timeout(PATIENCE, rests).await.expect("it comes to rest")
}

#[tokio::test]
async fn one_who_does_not_read_slows_the_upstream() {
    for buffer in ["1024", "16384", "4194304"] {
        let taken = taken_by_one_who_does_not_read(buffer).await;
        // The upstream has no end, so that coming to rest is what counts. Most of it waits in the
        // kernel, whose buffers grow with the load of the machine: up to 6 MiB on the reading side
        // and 4 MiB on the writing one.
        assert!(taken < 12 * 1024 * 1024, "{taken} bytes, for a buffer of {buffer}");
    }
}

/// So long a text that no buffer on the way holds it.
fn long_text() -> Vec<String> {
    (0..6000).map(|number| format!("{number:06} {}", "z".repeat(number % 997))).collect()
}

fn content(events: &[String]) -> String {
    let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let mut content = String::new();
    for chunk in chunks {
        content += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    content
}

#[tokio::test]
async fn a_reader_that_pauses_loses_nothing() {
    let text = long_text();
    let events: Vec<String> = text.iter().map(|text| piece(text)).chain([END.to_owned()]).collect();
    // The upstream's patience is no matter while it is not read.
    let variables = [("STREAM_IDLE_TIMEOUT", "1000"), ("CLIENT_STALL_TIMEOUT", "10000")];
    let gateway = Gateway::with(Dialect::ZaiWeb, Script::events(events), &variables).await;
    let mut client = Raw::with_small_window(gateway.address, 4096).await;
    client.send(chat_request(true, "")).await;
    let mut reply = Reply::of(client.socket).await;
    let mut got = Vec::new();
    let reads = async {
        while let Some(event) = reply.event().await {
            got.push(event);
            if got.len() % 1500 == 100 {
                sleep(Duration::from_millis(1500)).await;
            }
        }
    };
    timeout(3 * PATIENCE, reads).await.expect("an end");
    assert_eq!(got.last().unwrap(), "[DONE]");
    assert!(content(&got) == text.concat(), "not every byte has come");
}

#[tokio::test]
async fn those_who_do_not_read_hold_up_nobody() {
    let (upstream, _) = counting_upstream().await;
    let url = format!("http://{upstream}/api/chat/completions");
    let variables = [("UPSTREAM_URL", url.as_str()), ("UPSTREAM_TOKEN", "a-token")];
    let gateway = Gateway::with(Dialect::ZaiWeb, Script::events([END]), &variables).await;
    let mut stuck = Vec::new();
    for _ in 0..30 {
        let mut never = Raw::with_small_window(gateway.address, 4096).await;
        never.send(chat_request(true, "")).await;
        stuck.push(never);
    }
    gateway.until(|gateway| gateway.in_flight() == 30).await;
    let mut reads = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    for _ in 0..3000 {
        let event = timeout(PATIENCE, reads.event()).await.expect("in time");
        event.expect("more");
    }
    assert_eq!(gateway.in_flight(), 31, "and they are still there");
}

/// What a client takes to read is not the model's time.
#[tokio::test]
async fn a_slow_reader_tells_nothing_of_the_models_pace() {
    let text = json!({"choices": [{"index": 0, "delta": {"content": "tide ".repeat(8000)}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 50, "total_tokens": 57}});
    let mut events = vec![text.to_string(); 20];
    events.extend([end.to_string(), "[DONE]".to_owned()]);
    let gateway = Gateway::start(Dialect::OpenAi, Script::events(events)).await;
    let mut slow = Raw::with_small_window(gateway.address, 4096).await;
    slow.send(chat_request(true, "connection: close\r\n")).await;
    gateway.until(|gateway| gateway.in_flight() == 1).await;
    sleep(Duration::from_secs(1)).await;
    slow.to_the_end().await;
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!((&line["status_code"], &line["completion_tokens"]), (&json!(200), &json!(50)));
    assert!(line["client_wait_ms"].as_u64().is_some_and(|wait| wait > 500), "{line}");
    let metrics = gateway.get("/metrics").await.text().await;
    assert!(metrics.contains("z2api_time_to_first_token_seconds_count{"), "{metrics}");
    assert!(!metrics.contains("z2api_time_per_output_token_seconds_count{"), "{metrics}");
}
