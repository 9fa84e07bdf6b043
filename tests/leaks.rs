//! That a secret which gets out fails its test: each is let out on purpose, and found.
//!
//! One test with gateways, since what is found is told at the end of whichever of the process ends first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use serde_json::json;
use z2api_tests::{Gateway, KEY, foreign_traces};
use z2api_upstream_sim::{Script, faults};
use z2api_wire::event::Dialect;

const QUESTION: &str = "a question that is nobody's business";
const ANSWER: &str = "an answer that is nobody's business";
const COMPLAINT: &str = "a complaint for the client alone";
const WRONG_KEY: &str = "sk-wrong-key-of-a-stranger";
const GUEST: &str = "sim-guest-";
const ADMIN_KEY: &str = "an-admin-key-that-leaks";
const MODEL: &str = "GLM-4.5";

fn answers() -> Script {
    let said = json!({"choices": [{"index": 0, "delta": {"content": ANSWER}}]});
    Script::events([said.to_string(), "[DONE]".to_owned()])
}

/// Where a word is let out: the log tells a client's program, an error the model's name, and a head its id.
#[derive(Default)]
struct LetOut<'a> {
    agent: &'a str,
    id: &'a str,
    model: &'a str,
    /// A line of a library.
    traced: &'a str,
}

/// A gateway that is asked once. What its end complains of, if it does.
async fn complaint(plan: Script, variables: &[(&str, &str)], out: LetOut<'_>) -> Option<String> {
    let variables = [variables, &[("MAX_RETRIES", "0"), ("ADMIN_KEY", ADMIN_KEY)]].concat();
    let gateway = Gateway::with(Dialect::OpenAi, plan, &variables).await;
    // It has to be known to be found.
    for key in [WRONG_KEY, KEY] {
        let bearer = format!("Bearer {key}");
        let model = if out.model.is_empty() { MODEL } else { out.model };
        let body = json!({"model": model, "messages": [{"role": "user", "content": QUESTION}]})
            .to_string();
        let mut headers = vec![("authorization", bearer.as_str())];
        let given = [("user-agent", out.agent), ("x-request-id", out.id)];
        headers.extend(given.into_iter().filter(|(_, value)| !value.is_empty()));
        let reply = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).await;
        reply.text().await;
    }
    gateway.lines("response", 2).await;
    tracing::trace!(target: "a_library", "{}", out.traced);
    let ended = catch_unwind(AssertUnwindSafe(|| drop(gateway)));
    ended.err().map(|panic| *panic.downcast::<String>().expect("words"))
}

async fn check(
    plan: Script,
    variables: &[(&str, &str)],
    out: LetOut<'_>,
    (word, place): (&str, &str),
) {
    let found =
        complaint(plan, variables, out).await.unwrap_or_else(|| panic!("{word} in {place}"));
    assert!(found.contains(&format!("{word:?} in {place}")), "{found}");
}

#[tokio::test]
async fn what_gets_out_fails_the_test_that_let_it_out() {
    assert_eq!(complaint(answers(), &[], LetOut::default()).await, None);
    for word in [KEY, WRONG_KEY, ADMIN_KEY, GUEST, "upstream-token-0001", QUESTION, ANSWER] {
        check(answers(), &[], LetOut { traced: word, ..LetOut::default() }, (word, "a_library"))
            .await;
        check(answers(), &[], LetOut { agent: word, ..LetOut::default() }, (word, "the log")).await;
    }
    let id = LetOut { id: WRONG_KEY, ..LetOut::default() };
    check(answers(), &[], id, (WRONG_KEY, "a head")).await;
    let model = LetOut { model: KEY, ..LetOut::default() };
    check(answers(), &[], model, (KEY, "/v1/chat/completions")).await;
    let refuses = faults::api_error(400, "1210", COMPLAINT);
    assert_eq!(
        complaint(refuses.clone(), &[], LetOut::default()).await,
        None,
        "a client may read it"
    );
    let agent = LetOut { agent: COMPLAINT, ..LetOut::default() };
    check(refuses, &[], agent, (COMPLAINT, "the log")).await;
    // A log that is told to may hold texts, and no keys.
    let told = [("LOG_USER_MESSAGES", "true")];
    for text in [QUESTION, ANSWER] {
        let agent = LetOut { agent: text, ..LetOut::default() };
        assert_eq!(complaint(answers(), &told, agent).await, None);
    }
    let agent = LetOut { agent: KEY, ..LetOut::default() };
    check(answers(), &told, agent, (KEY, "the log")).await;
    assert!(foreign_traces() > 0, "the finest level of the libraries");
}

/// A process that ends this way is another one: this test alone, with this variable.
const AGAIN: &str = "Z2API_LEAKS_AGAIN";

#[tokio::test]
async fn what_gets_out_when_no_gateway_is_left_ends_the_process() {
    if std::env::var_os(AGAIN).is_some() {
        assert_eq!(complaint(answers(), &[], LetOut::default()).await, None);
        tracing::trace!(target: "a_library", "{KEY}");
        return;
    }
    let mut process = Command::new(std::env::current_exe().unwrap());
    let name = "what_gets_out_when_no_gateway_is_left_ends_the_process";
    let output = process.args(["--exact", name]).env(AGAIN, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(&format!("{KEY:?} in a_library")), "{told}");
}
