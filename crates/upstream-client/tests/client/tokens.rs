//! Several tokens: which is asked, what a refusal does to it, and who waits for whom.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use z2api_upstream_client::{Client, Dialect, Secret, Settings, TokenState};
use z2api_upstream_sim::{Script, Sim, faults, plan_fn};

use crate::fake::{Asked, Fake, Reply};
use crate::support::{API_FINISH, LONG, api_text, ask, ask_whole, settings};

fn pair(settings: &mut Settings) {
    settings.token = Some(Secret::new("first"));
    settings.tokens = vec![Secret::new("second")];
}

/// The first token is refused so, and the second asked at once; gives what the first is then.
async fn another_is_asked(status: u16, code: &'static str) -> TokenState {
    let fake = Fake::new(move |asked: &Asked, _| match asked.bearer.as_str() {
        "first" => Reply::code(status, code),
        _ => Reply::fine(),
    });
    let client = fake.client(pair);
    assert_eq!(ask_whole(&client).await, "fine");
    let bearers: Vec<String> = fake.asked().into_iter().map(|asked| asked.bearer).collect();
    assert_eq!((bearers, fake.times()), (vec!["first".into(), "second".into()], vec![0, 0]));
    let [first, second] = client.tokens().try_into().unwrap();
    assert_eq!((second.state, second.in_flight, second.guest), (TokenState::Ok, 0, false));
    first.state
}

#[tokio::test(start_paused = true)]
async fn another_token_is_asked_at_once() {
    let dead = another_is_asked(401, "1002").await;
    let TokenState::Dead { reason } = dead else { panic!("{dead:?}") };
    assert_eq!(reason, "the upstream does not accept the token (status 401, code 1002)");

    let parked = another_is_asked(429, "1308").await;
    assert!(matches!(parked, TokenState::Parked { .. }), "{parked:?}");
    for code in ["1302", "1303"] {
        let cooling = another_is_asked(429, code).await;
        let TokenState::Cooling { left, .. } = cooling else { panic!("{cooling:?}") };
        assert_eq!(left, Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_not_asked_again_for_each_request() {
    let fake = Fake::new(|_, _| Reply::code(401, "1002"));
    let client = fake.client(pair);
    for attempts in [2, 0, 0] {
        let failed = ask(&client).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_unauthorized", attempts));
    }
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_parked_token_answers_from_what_is_known() {
    let fake = Fake::new(|_, _| Reply::code(429, "1308").header("retry-after", "3600"));
    let client = fake.client(|_| {});
    for attempts in [1, 0] {
        let failed = ask(&client).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_quota_exhausted", attempts));
        assert_eq!(failed.error.retry_after(), Some(Duration::from_secs(3600)));
    }
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_429_is_not_multiplied() {
    let fake = Fake::new(|_, _| Reply::code(429, "1302"));
    let client = fake.client(|_| {});
    let storm = join_all((0..500).map(|_| ask(&client))).await;
    assert!(
        storm.into_iter().all(|asked| asked.unwrap_err().error.kind() == "upstream_rate_limited")
    );
    let at_once = fake.times().iter().filter(|time| **time < 1000).count();
    assert!(at_once <= 550, "{at_once}");
    assert!(fake.asked().len() <= 600, "{}", fake.asked().len());
}

#[tokio::test]
async fn callers_are_queued_and_not_refused_where_one_in_flight_is_allowed() {
    let sim = Arc::new(Sim::start(Script::events(["[DONE]"])).await.unwrap());
    let running = Arc::downgrade(&sim);
    let whole = [api_text("fine").as_str(), API_FINISH, "[DONE]"].map(str::to_owned);
    let whole = Script::events(whole).pace(Duration::from_millis(2));
    sim.set_plan(plan_fn(move |_| {
        match running.upgrade().is_some_and(|sim| sim.open_streams() > 1) {
            true => faults::api_error(429, "1302", "too many at once"),
            false => whole.clone(),
        }
    }));
    let mut settings = settings(&sim, Dialect::OpenAi);
    settings.retry.retries = 0;
    let client = Client::new(settings).unwrap();
    let answers = tokio::time::timeout(LONG, join_all((0..20).map(|_| ask_whole(&client)))).await;
    assert_eq!(answers.unwrap(), vec!["fine"; 20]);
    let limits = &client.tokens()[0].limits;
    assert!(limits[0].model == "a-model" && limits[0].allowed <= 3, "{limits:?}");
    assert!(sim.chat_requests() < 60, "{}", sim.chat_requests());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_in_flight_until_it_is_over_or_dropped() {
    let in_flight = |client: &Client| client.tokens()[0].in_flight;
    let client = Fake::new(|_, _| Reply::begun()).client(|_| {});
    let started = ask(&client).await.unwrap();
    assert_eq!(in_flight(&client), 1);
    drop(started);
    assert_eq!(in_flight(&client), 0);

    let client = Fake::new(|_, _| Reply::fine()).client(|_| {});
    let mut started = ask(&client).await.unwrap();
    while started.events.next().await.is_some() {}
    assert_eq!(in_flight(&client), 0);
}

#[tokio::test(start_paused = true)]
async fn no_token_of_the_settings_shows_where_the_upstream_repeats_it() {
    let words =
        r#"{"error":{"code":"1210","message":"not as first-secret or first-secret-and-more"}}"#;
    let fake = Fake::new(move |_, _| Reply::status(400, words));
    let client = fake.client(|settings| {
        settings.token = Some(Secret::new("first-secret"));
        settings.tokens = vec![Secret::new("first-secret-and-more")];
    });
    let error = ask(&client).await.unwrap_err().error;
    assert_eq!(error.fault().unwrap().message, "not as **** or ****");
    assert!(error.body().contains("**** or ****"), "{}", error.body());
    assert!(!format!("{client:?} {error:?}").contains("secret"));
}
