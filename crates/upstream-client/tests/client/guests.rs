//! Guest tokens: fetched once for many, renewed when refused.

use std::time::Duration;

use futures::future::{join, join_all};
use z2api_upstream_client::{Client, Dialect, TokenState};
use z2api_upstream_sim::{Guests, Script, Sim, faults, plan_fn};

use crate::support::{LONG, SHORT, WEB_DONE, ask, ask_whole, settings, web_text};

fn fine() -> Script {
    Script::events([web_text("fine").as_str(), WEB_DONE])
}

fn guest_client(sim: &Sim) -> Client {
    let mut settings = settings(sim, Dialect::ZaiWeb);
    settings.token = None;
    Client::new(settings).unwrap()
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_guest() {
    let sim = Sim::start(fine()).await.unwrap();
    sim.guests(Guests::Slow(SHORT));
    let client = guest_client(&sim);
    let answers = join_all((0..20).map(|_| ask_whole(&client))).await;
    assert_eq!(answers, vec!["fine"; 20]);
    assert_eq!(sim.guest_requests(), 1);
    ask_whole(&client.clone()).await;
    assert_eq!(sim.guest_requests(), 1);
}

#[tokio::test]
async fn a_refused_guest_is_replaced_once_for_all_who_hold_it() {
    let sim = Sim::start(fine()).await.unwrap();
    let client = guest_client(&sim);
    ask_whole(&client).await;
    sim.revoke_guests();
    let started = join_all((0..20).map(|_| ask(&client))).await;
    for started in started {
        assert!(started.unwrap().attempts <= 2);
    }
    assert_eq!(sim.guest_requests(), 2);
}

#[tokio::test]
async fn a_renewed_guest_costs_no_retry() {
    let sim = Sim::start(fine()).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.token = None;
    settings.retry.retries = 0;
    let client = Client::new(settings).unwrap();
    ask_whole(&client).await;
    sim.revoke_guests();
    assert_eq!(ask(&client).await.unwrap().attempts, 2);
}

#[tokio::test]
async fn guests_that_are_all_refused_are_given_up() {
    let refusal = faults::detail(401, "not authenticated");
    let sim = Sim::start(refusal).await.unwrap();
    let failed = ask(&guest_client(&sim)).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_unauthorized", 2));
    assert_eq!(sim.guest_requests(), 2);
}

#[tokio::test]
async fn a_refusal_inside_a_200_also_costs_the_guest() {
    let plan = plan_fn(|request| match request.number {
        0 => faults::web_error(401, "not authenticated"),
        _ => fine(),
    });
    let sim = Sim::start(plan).await.unwrap();
    assert_eq!(ask(&guest_client(&sim)).await.unwrap().attempts, 2);
    assert_eq!(sim.guest_requests(), 2);
}

#[tokio::test]
async fn our_own_token_is_not_replaced_by_a_guest() {
    let sim = Sim::start(faults::detail(401, "who?")).await.unwrap();
    let client = Client::new(settings(&sim, Dialect::ZaiWeb)).unwrap();
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_unauthorized", 1));
    assert_eq!(sim.guest_requests(), 0);
}

#[tokio::test]
async fn an_asker_who_leaves_does_not_take_the_guest_from_the_others() {
    let sim = Sim::start(fine()).await.unwrap();
    sim.guests(Guests::Slow(Duration::from_millis(100)));
    let client = guest_client(&sim);
    let first = tokio::spawn({
        let client = client.clone();
        async move { ask(&client).await.map(drop) }
    });
    assert!(sim.until(|sim| sim.guest_requests() == 1, LONG).await);
    let second = tokio::spawn(async move { ask_whole(&client).await });
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(second.await.unwrap(), "fine");
    assert_eq!((sim.guest_requests(), sim.chats().len()), (1, 1));
}

#[tokio::test]
async fn without_a_guest_there_is_no_chat() {
    let sim = Sim::start(fine()).await.unwrap();
    let client = guest_client(&sim);

    sim.guests(Guests::Status(500));
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_no_guest_token", 4));

    sim.guests(Guests::Status(403));
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_no_guest_token", 1));

    sim.guests(Guests::Status(405));
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_firewall", 1));

    assert_eq!(sim.chats().len(), 0);
    sim.guests(Guests::Fine);
    assert_eq!(ask_whole(&client).await, "fine");
}

#[tokio::test]
async fn only_the_chat_that_begins_a_fetch_has_asked_for_it() {
    let sim = Sim::start(fine()).await.unwrap();
    sim.guests(Guests::Status(500));
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    (settings.token, settings.retry.base) = (None, SHORT);
    let client = Client::new(settings).unwrap();
    let failed = join_all((0..6).map(|_| ask(&client))).await;
    let failed: Vec<_> = failed.into_iter().map(Result::unwrap_err).collect();
    assert!(failed.iter().all(|failed| failed.error.kind() == "upstream_no_guest_token"));
    let attempts: u32 = failed.iter().map(|failed| failed.attempts).sum();
    assert_eq!(attempts as usize, sim.guest_requests());
}

#[tokio::test]
async fn a_fetch_that_has_just_failed_is_no_attempt_of_the_next_chat() {
    let sim = Sim::start(fine()).await.unwrap();
    sim.guests(Guests::Status(500));
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    (settings.token, settings.retry.base, settings.retry.retries) = (None, LONG, 0);
    settings.retry.cap = LONG;
    let client = Client::new(settings).unwrap();
    for attempts in [1, 0, 0] {
        let failed = ask(&client).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_no_guest_token", attempts));
    }
    assert!(matches!(client.tokens()[0].state, TokenState::Cooling { .. }));
    assert_eq!((client.has_token(), sim.guest_requests()), (false, 1));
}

#[tokio::test]
async fn chats_that_meet_a_failed_fetch_go_on_with_the_next_one() {
    let sim = Sim::start(fine()).await.unwrap();
    sim.guests(Guests::Status(500));
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    (settings.token, settings.retry.base) = (None, Duration::from_millis(200));
    let client = Client::new(settings).unwrap();
    let asking = join_all((0..6).map(|_| ask_whole(&client)));
    let mends = async {
        assert!(sim.until(|sim| sim.guest_requests() == 1, LONG).await);
        sim.guests(Guests::Fine);
    };
    assert_eq!(join(asking, mends).await.0, vec!["fine"; 6]);
    assert_eq!(sim.guest_requests(), 2);
}
