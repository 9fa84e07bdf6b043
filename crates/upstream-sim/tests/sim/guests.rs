//! The guest endpoint and what its tokens are worth.

use std::time::Duration;

use z2api_upstream_sim::{Guests, Outcome, Script, Sim};

use crate::client::{API, Client, LONG, WEB};

const GUEST: &str = "/api/v1/auths/";

async fn start() -> (Sim, Client) {
    let sim = Sim::start(Script::events(["a"])).await.unwrap();
    let client = Client::connect(sim.addr()).await;
    (sim, client)
}

async fn guest(client: &mut Client) -> String {
    let guest = client.get(GUEST).await.json();
    assert_eq!(guest["role"], "guest");
    assert!(guest["name"].as_str().unwrap().starts_with("Guest-"));
    assert!(guest["id"].is_string() && guest["email"].is_string());
    guest["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_guest_has_a_token_of_its_own() {
    let (sim, mut client) = start().await;
    let (first, second) = (guest(&mut client).await, guest(&mut client).await);
    assert_ne!(first, second);
    assert!(first.starts_with("sim-guest-"));
    assert_eq!(sim.guest_requests(), 2);
    assert_eq!(sim.requests()[1].number, 1);
    assert!(sim.chats().is_empty());
}

#[tokio::test]
async fn a_revoked_guest_is_refused_and_a_new_one_is_not() {
    let (sim, mut client) = start().await;
    let old = guest(&mut client).await;
    assert_eq!(client.chat(WEB, &old, "{}").await.status, 200);
    sim.revoke_guests();
    let refusal = client.chat(WEB, &old, "{}").await;
    assert_eq!(refusal.status, 401);
    assert!(refusal.json()["detail"].is_string());
    let new = guest(&mut client).await;
    assert_eq!(client.chat(WEB, &new, "{}").await.status, 200);
    assert_eq!(client.chat(WEB, "somebody", "{}").await.status, 200);
}

#[tokio::test]
async fn a_chat_without_a_token_is_refused() {
    let (sim, mut client) = start().await;
    for path in [WEB, API] {
        client.send(format!("POST {path} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 401);
    }
    assert_eq!(sim.chats().len(), 2);
}

#[tokio::test]
async fn a_token_is_asked_about_its_owner() {
    let (_sim, mut client) = start().await;
    client.send(format!("GET {GUEST} HTTP/1.1\r\nauthorization: Bearer me\r\n\r\n")).await;
    let owner = client.response().await.json();
    assert_eq!((&owner["role"], &owner["token"]), (&"user".into(), &"me".into()));
}

#[tokio::test]
async fn guests_can_be_refused_or_made_to_wait() {
    let (sim, mut client) = start().await;
    sim.guests(Guests::Status(405));
    assert_eq!(client.get(GUEST).await.status, 405);
    sim.guests(Guests::Slow(Duration::from_secs(3600)));
    client.send(format!("GET {GUEST} HTTP/1.1\r\n\r\n")).await;
    assert!(sim.until(|sim| sim.guest_requests() == 2, LONG).await);
    assert_eq!(sim.requests()[1].outcome, Outcome::Running);
    sim.guests(Guests::Fine);
    guest(&mut Client::connect(sim.addr()).await).await;
}
