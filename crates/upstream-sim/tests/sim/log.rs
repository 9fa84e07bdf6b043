//! What the simulator remembers, and how to wait for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use z2api_upstream_sim::{Script, Sim};

use crate::client::{API, Client, LONG, WEB};

#[tokio::test]
async fn a_request_is_recorded_as_it_was_sent() {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    let path = format!("{WEB}?requestId=7");
    client.chat(&path, "t", r#"{"model":"x"}"#).await;
    client.get("/nowhere").await;
    client.chat(API, "t", "").await;
    let requests = sim.requests();
    let first = &requests[0];
    assert_eq!((first.method.as_str(), &first.path, first.number), ("POST", &path, 0));
    assert_eq!(first.header("AUTHORIZATION"), Some("Bearer t"));
    assert_eq!(first.headers[0], ("host".to_owned(), "sim".to_owned()));
    assert_eq!(first.json()["model"], "x");
    assert_eq!((requests[1].path.as_str(), requests[1].number), ("/nowhere", 0));
    assert_eq!((requests[2].path.as_str(), requests[2].number), (API, 1));
    assert_eq!(sim.chats().len(), 2);
}

#[tokio::test]
async fn an_onlooker_sees_each_request_and_what_is_said_to_it() {
    let sim = Sim::start(Script::events(["a", "b"])).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let for_sim = seen.clone();
    sim.look_on(move |request, script| {
        for_sim.lock().unwrap().push((request.path.clone(), script.body()));
    });
    let mut client = Client::connect(sim.addr()).await;
    client.chat(API, "t", "").await;
    assert_eq!(*seen.lock().unwrap(), [(API.to_owned(), b"data: a\n\ndata: b\n\n".to_vec())]);
}

#[tokio::test]
async fn a_chunked_body_is_recorded_without_its_coding() {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client
        .send(format!(
            "POST {WEB} HTTP/1.1\r\nAuthorization: Bearer t\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\n{{\"a\r\n3;x=y\r\n\":1\r\n1\r\n}}\r\n0\r\ntrailer: x\r\n\r\n"
        ))
        .await;
    client.response().await;
    assert_eq!(sim.chats()[0].json()["a"], 1);
    // The connection stands where the next request begins.
    assert_eq!(client.chat(WEB, "t", "").await.status, 200);
}

#[tokio::test]
async fn a_body_that_waits_for_leave_gets_it() {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    let mut client = Client::connect(sim.addr()).await;
    client
        .send(format!(
            "POST {WEB} HTTP/1.1\r\nAuthorization: Bearer t\r\nExpect: 100-continue\r\n\
             Content-Length: 2\r\n\r\n"
        ))
        .await;
    assert_eq!(client.head().await.0, 100);
    client.send("{}").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(sim.chats()[0].body, b"{}");
}

#[tokio::test]
async fn who_waits_is_told_of_a_change() {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    let asked = sim.until(|sim| sim.chat_requests() == 1, LONG);
    let asking = async {
        // The other side waits already: this one runs second.
        Client::connect(sim.addr()).await.chat(WEB, "t", "{}").await
    };
    let (asked, _) = tokio::join!(asked, asking);
    assert!(asked);
}

#[tokio::test]
async fn waiting_ends_with_its_time() {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    assert!(!sim.until(|_| false, Duration::from_millis(1)).await);
    assert!(sim.until(|_| true, Duration::ZERO).await);
}
