//! How often the upstream is asked.

use std::collections::HashSet;

use z2api_upstream_client::{Client, Dialect};
use z2api_upstream_sim::{Script, Sim, fails_first, faults};

use crate::support::{API_FINISH, WEB_DONE, api_text, ask, client, drain, settings, web_text};

fn fine() -> Script {
    Script::events([web_text("fine").as_str(), WEB_DONE])
}

#[tokio::test]
async fn failures_up_to_the_limit_are_overcome() {
    for failures in 0..=3 {
        let plan = fails_first(failures, faults::detail(500, "oh"), fine());
        let sim = Sim::start(plan).await.unwrap();
        let started = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap();
        assert_eq!(started.attempts as usize, failures + 1);
        assert_eq!(sim.chats().len(), failures + 1);
    }
}

#[tokio::test]
async fn no_retries_means_one_attempt() {
    let sim = Sim::start(faults::detail(500, "oh")).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.retry.retries = 0;
    let failed = ask(&Client::new(settings).unwrap()).await.unwrap_err();
    assert_eq!((failed.attempts, sim.chats().len()), (1, 1));
}

#[tokio::test]
async fn nothing_is_asked_twice_once_an_answer_has_begun() {
    let begun = || Script::events([web_text("x")]);
    let failures = [
        (begun().cut_after(1), "upstream_disconnected"),
        (begun().reset_after(1), "upstream_disconnected"),
        (begun(), "upstream_truncated"),
        (
            Script::events([web_text("x"), faults::web_error_event("INTERNAL_ERROR", "oh")]),
            "upstream_error",
        ),
    ];
    for (script, kind) in failures {
        let sim = Sim::start(script).await.unwrap();
        let started = ask(&client(&sim, Dialect::ZaiWeb)).await.unwrap();
        assert_eq!(started.attempts, 1);
        let (events, error) = drain(started.events).await;
        assert_eq!((events.len(), error.unwrap().kind()), (1, kind));
        assert_eq!(sim.chats().len(), 1);
    }
}

#[tokio::test]
async fn each_attempt_has_ids_of_its_own() {
    let names =
        [(Dialect::ZaiWeb, "chat_id"), (Dialect::ZaiWeb, "id"), (Dialect::OpenAi, "request_id")];
    for (dialect, name) in names {
        let sim = Sim::start(faults::detail(500, "oh")).await.unwrap();
        ask(&client(&sim, dialect)).await.unwrap_err();
        let ids: HashSet<String> =
            sim.chats().iter().map(|chat| chat.json()[name].to_string()).collect();
        assert_eq!(ids.len(), 4, "{name}");
    }
}

#[tokio::test]
async fn an_id_that_was_used_before_is_replaced() {
    let used = faults::api_error(400, "1231", "you already have a request");
    let whole = [api_text("fine").as_str(), API_FINISH, "[DONE]"].map(str::to_owned);
    let sim = Sim::start(fails_first(1, used, Script::events(whole))).await.unwrap();
    assert_eq!(ask(&client(&sim, Dialect::OpenAi)).await.unwrap().attempts, 2);
    let [first, second] = sim.chats().try_into().unwrap();
    assert_ne!(first.json()["request_id"], second.json()["request_id"]);
}
