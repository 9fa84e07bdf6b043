//! How the gateway ends it: by a refusal, by a limit, by its own end, or by a fault of its own.

use std::time::Duration;

use z2api_tests::web::{END, PIECE, endless, fine, stuck};
use z2api_tests::{Gateway, LONG, Level};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{APIS, Ending, IT, WHOLE, ask, check, post, question, web};

const COUNT: &str = "/v1/messages/count_tokens";

fn by_gateway(status: u16, kind: &'static str) -> Ending {
    (status, Some((kind, "gateway")))
}

fn by_client(status: u16, kind: &'static str) -> Ending {
    (status, Some((kind, "client")))
}

#[tokio::test]
async fn a_refusal_of_what_is_asked() {
    for path in APIS.into_iter().chain([COUNT]) {
        let gateway = web(fine(), &[("MAX_BODY_MB", "1")]).await;
        post(&gateway, path, "{").await.text().await;
        check(&gateway, path, by_client(400, "invalid_request")).await;

        let gateway = web(fine(), &[]).await;
        let unknown = question(path, false).to_string().replace("GLM-4.5", "no-such-model");
        post(&gateway, path, &unknown).await.text().await;
        check(&gateway, path, by_client(404, "model_not_found")).await;

        let gateway = web(fine(), &[]).await;
        let stranger = [("x-request-id", IT)];
        gateway.send("POST", path, &stranger, b"{}").await.text().await;
        check(&gateway, path, by_client(401, "invalid_api_key")).await;
    }
    for (method, path, status, kind) in [
        ("GET", "/nothing", 404, "unknown_url"),
        ("PUT", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/embeddings", 404, "unknown_url"),
    ] {
        let gateway = web(fine(), &[]).await;
        gateway.send(method, path, &[("x-request-id", IT)], b"").await.text().await;
        check(&gateway, path, by_client(status, kind)).await;
    }
}

#[tokio::test]
async fn an_answer_of_its_own() {
    let gateway = web(fine(), &[]).await;
    post(&gateway, COUNT, &question(COUNT, false).to_string()).await.text().await;
    check(&gateway, COUNT, WHOLE).await;
    for path in ["/health", "/health/ready", "/status", "/metrics", "/dashboard"] {
        let gateway = web(fine(), &[]).await;
        gateway.send("GET", path, &[("x-request-id", IT)], b"").await.text().await;
        check(&gateway, path, WHOLE).await;
    }
}

#[tokio::test]
async fn a_full_queue() {
    for path in APIS {
        for (wait, queue, kind) in [("100", "1", "queue_timeout"), ("60000", "0", "server_full")] {
            let full = [
                ("MAX_CONCURRENT_CONNECTIONS", "1"),
                ("CONNECTION_QUEUE_SIZE", queue),
                ("QUEUE_TIMEOUT", wait),
            ];
            let gateway = web(stuck(), &full).await;
            let held = gateway.chat("GLM-4.5", serde_json::json!({"stream": true})).await;
            ask(&gateway, path, false).await.text().await;
            drop(held);
            check(&gateway, path, by_gateway(503, kind)).await;
        }
    }
}

#[tokio::test]
async fn a_slot_that_is_held_for_too_long() {
    for path in APIS {
        for (stream, status) in [(true, 200), (false, 504)] {
            let gateway = web(stuck(), &[("MAX_CONNECTION_TIME", LONG)]).await;
            let asked = async { ask(&gateway, path, stream).await.text().await };
            gateway.out_of_time(1, asked).await;
            let ending = (status, Some(("max_connection_time", "upstream")));
            check(&gateway, path, ending).await;
        }
    }
}

#[tokio::test]
async fn a_shortage_of_memory() {
    for path in APIS {
        for (stream, status) in [(true, 200), (false, 503)] {
            let (level, limit) = (Level::default(), [("MEMORY_LIMIT_MB", "100")]);
            let source = Some(level.source());
            let gateway = Gateway::with_memory(Dialect::ZaiWeb, stuck(), &limit, source).await;
            let asked = async { ask(&gateway, path, stream).await.text().await };
            let shortage = async {
                gateway.until(|gateway| gateway.sim.open_streams() == 1).await;
                level.set(98);
            };
            tokio::join!(asked, shortage);
            check(&gateway, path, by_gateway(status, "out_of_memory")).await;
        }
    }
}

#[tokio::test]
async fn a_stop_that_is_out_of_time() {
    for path in APIS {
        for (stream, status) in [(true, 200), (false, 503)] {
            let gateway = web(stuck(), &[("SHUTDOWN_GRACE", "0")]).await;
            let asked = async { ask(&gateway, path, stream).await.text().await };
            let stop = async {
                gateway.until(|gateway| gateway.sim.open_streams() == 1).await;
                gateway.stop();
            };
            tokio::join!(asked, stop);
            check(&gateway, path, by_gateway(status, "server_shutting_down")).await;
        }
    }
}

/// It cannot be told so, and has not hung up.
#[tokio::test]
async fn a_stop_while_its_client_does_not_read() {
    let gateway = web(endless(), &[("SHUTDOWN_GRACE", "0")]).await;
    let _never = gateway.unread_stream_as(&format!("x-request-id: {IT}\r\n")).await;
    gateway.stop();
    check(&gateway, "unread", by_gateway(200, "server_shutting_down")).await;
}

/// A release build has nothing that panics on request.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_fault_of_its_own() {
    let paced = || Script::events([PIECE, PIECE, END]).pace(Duration::from_millis(20));
    for path in APIS {
        for (panic, stream, status) in
            [("handler", true, 500), ("handler", false, 500), ("stream", true, 200)]
        {
            let gateway = web(paced(), &[]).await;
            let key = format!("Bearer {}", z2api_tests::KEY);
            let headers =
                [("authorization", key.as_str()), ("x-request-id", IT), ("x-test-panic", panic)];
            let body = question(path, stream).to_string();
            gateway.send("POST", path, &headers, body.as_bytes()).await.text().await;
            check(&gateway, &format!("{panic}: {path}"), by_gateway(status, "panic")).await;
        }
    }
    let gateway = web(paced(), &[]).await;
    let mut client = z2api_tests::Raw::connect(gateway.address).await;
    let lines = format!("x-request-id: {IT}\r\nx-test-panic: twice\r\n");
    client.send(z2api_tests::chat_request(true, &lines)).await;
    client.to_the_end().await;
    drop(client);
    check(&gateway, "and in saying so", by_gateway(200, "panic")).await;
}
