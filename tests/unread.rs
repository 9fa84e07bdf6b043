//! An answer is over when it has left for its client, not when the gateway has all of it.

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::time::timeout;
use z2api_tests::web::END;
use z2api_tests::{Gateway, LONG, PATIENCE, Raw, chat_request, pass_long};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

/// A whole answer in one event, which no buffer of the kernel's holds.
fn long() -> Script {
    let text = "z".repeat(6 * 1024 * 1024);
    let piece =
        json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}});
    Script::events([piece.to_string().as_str(), END])
}

/// The upstream has said everything, and the client, which is answered, has read nothing.
async fn unread(gateway: &Gateway, stream: bool, lines: &str) -> Raw {
    let mut client = Raw::with_small_window(gateway.address, 4096).await;
    client.send(chat_request(stream, lines)).await;
    gateway.until(|gateway| gateway.sim.chat_requests() == 1).await;
    gateway.until(|gateway| gateway.sim.open_streams() == 0).await;
    timeout(PATIENCE, client.socket.readable()).await.expect("an answer").unwrap();
    let status = gateway.get("/status").await.json().await;
    assert_eq!(status["current_connections"], 1, "it holds its slot: {status}");
    let ended = gateway.log.lines().into_iter().filter(|line| line.contains("/v1/chat"));
    assert_eq!(ended.filter(|line| line.contains(r#""type":"response""#)).count(), 0);
    client
}

/// It is over once, and so.
async fn check(gateway: Gateway, status: u16, kind: Option<&str>) -> Value {
    gateway.until(|gateway| gateway.in_flight() == 0 && gateway.connections() == 0).await;
    let lines = gateway.lines("response", 2).await;
    let of_chat = lines.iter().filter(|line| line["endpoint"] == "/v1/chat/completions");
    let of_chat: Vec<_> = of_chat.collect();
    assert_eq!(of_chat.len(), 1, "{lines:?}");
    assert_eq!(of_chat[0]["status_code"], status, "{}", of_chat[0]);
    assert_eq!(of_chat[0].get("error_kind").and_then(|kind| kind.as_str()), kind, "{}", of_chat[0]);
    of_chat[0].clone()
}

async fn gateway(variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::ZaiWeb, long(), variables).await
}

#[tokio::test]
async fn who_reads_on_gets_all_of_it_and_it_went_well() {
    for stream in [true, false] {
        let gateway = gateway(&[]).await;
        let mut client = unread(&gateway, stream, "connection: close\r\n").await;
        // Now it has room, too.
        SockRef::from(&client.socket).set_recv_buffer_size(1 << 20).expect("a large buffer");
        let all = client.to_the_end().await;
        assert!(all.len() > 6 * 1024 * 1024, "{}", all.len());
        check(gateway, 200, None).await;
    }
}

#[tokio::test]
async fn who_hangs_up_before_the_last_byte_has_hung_up() {
    for stream in [true, false] {
        for resets in [true, false] {
            let gateway = gateway(&[]).await;
            let client = unread(&gateway, stream, "").await;
            if resets {
                client.reset();
            } else {
                drop(client);
            }
            check(gateway, 499, Some("client_hung_up")).await;
        }
    }
}

#[tokio::test]
async fn who_never_reads_it_is_let_go_of() {
    for stream in [true, false] {
        let gateway = gateway(&[("CLIENT_STALL_TIMEOUT", LONG)]).await;
        let _client = unread(&gateway, stream, "").await;
        pass_long().await;
        check(gateway, 499, Some("client_stalled")).await;
    }
}

#[tokio::test]
async fn it_may_not_hold_its_slot_for_longer_than_any_other() {
    for stream in [true, false] {
        let gateway = gateway(&[("MAX_CONNECTION_TIME", LONG)]).await;
        let _client = unread(&gateway, stream, "").await;
        pass_long().await;
        let line = check(gateway, 200, Some("max_connection_time")).await;
        assert_eq!((&line["error_owner"], &line["level"]), (&json!("client"), &json!("INFO")));
    }
}

#[tokio::test]
async fn a_stop_that_is_out_of_time_cuts_it_off() {
    for stream in [true, false] {
        let gateway = gateway(&[("SHUTDOWN_GRACE", "0")]).await;
        let _client = unread(&gateway, stream, "").await;
        gateway.stop();
        gateway.until(|gateway| gateway.in_flight() == 0).await;
        let lines = gateway.lines("response", 2).await;
        let line = lines.iter().find(|line| line["endpoint"] == "/v1/chat/completions").unwrap();
        assert_eq!(line["error_kind"], "server_shutting_down", "{line}");
    }
}
