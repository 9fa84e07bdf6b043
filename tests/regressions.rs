//! What the Go program of the same name got wrong, each shown to be right here.
//!
//! What it got wrong before and after an answer is in other files: keys, paths, sizes and the
//! upstream's refusals in `errors.rs`, tokens and what the upstream is asked in `requests.rs`, log
//! lines in `logs.rs`, hang-ups and stops in `life.rs`, settings in `settings.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, LONG, pass_long};
use z2api_upstream_sim::{Guests, Script, fails_first, faults, text};
use z2api_wire::event::Dialect;

fn answer(text: &str) -> String {
    json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}})
        .to_string()
}

fn thinking(text: &str) -> String {
    json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "thinking"}})
        .to_string()
}

fn end() -> String {
    json!({"type": "chat:completion", "data": {"phase": "done", "done": true}}).to_string()
}

async fn web(plan: Script) -> Gateway {
    Gateway::start(Dialect::ZaiWeb, plan).await
}

fn streamed_content(events: &[String]) -> String {
    let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let content = |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(String::from);
    chunks.filter_map(content).collect()
}

/// The content of a streamed and of a whole answer, which are the same.
async fn content(gateway: &Gateway, fields: Value) -> String {
    let mut whole = fields.clone();
    whole["stream"] = json!(false);
    let whole = gateway.chat("GLM-4.5", whole).await.json().await;
    let mut streamed = fields;
    streamed["stream"] = json!(true);
    let content = streamed_content(&gateway.chat("GLM-4.5", streamed).await.events().await);
    assert_eq!(whole["choices"][0]["message"]["content"], content.as_str());
    content
}

#[tokio::test]
async fn content_may_be_parts_and_numbers_are_not_only_logged() {
    let gateway = web(Script::events([answer("a"), end()])).await;
    let body = json!({"model": "GLM-4.5", "temperature": 0.25, "max_tokens": 12, "top_p": 0.5,
        "stop": "x", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    assert_eq!(gateway.post(&body).await.status, 200);
    let params = gateway.sim.chats()[0].json()["params"].clone();
    assert_eq!(params, json!({"temperature": 0.25, "top_p": 0.5, "max_tokens": 12, "stop": ["x"]}));
}

#[tokio::test]
async fn an_unknown_model_is_not_silently_another() {
    let gateway = web(Script::events([answer("a"), end()])).await;
    assert_eq!(gateway.chat("GLM-4.5-Thinkin", json!({})).await.status, 404);
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn no_white_space_is_lost_between_pieces() {
    let pieces = ["Hi", " ", "hello", "\n", "  \n", "\t", "x ", " y", "\n"];
    let events = pieces.map(answer).into_iter().chain([end()]);
    let gateway = web(Script::events(events)).await;
    assert_eq!(content(&gateway, json!({})).await, pieces.concat());
}

#[tokio::test]
async fn quote_marks_go_and_spaces_of_the_thinking_stay() {
    let events = [
        thinking("<details type=\"reasoning\" done=\"false\">\n> Hi"),
        thinking(" hello\n>"),
        thinking("   - a\n> \n"),
        thinking("> b"),
        json!({"type": "chat:completion", "data": {"phase": "answer", "edit_index": 32,
            "edit_content": "true\">\n> Hi hello\n>   - a\n> \n> b\n</details>\nYes"}})
        .to_string(),
        answer(" sir."),
        end(),
    ];
    let gateway = web(Script::events(events)).await;
    let content = content(&gateway, json!({})).await;
    assert_eq!(content, "<think>\nHi hello\n  - a\n\nb\n</think>\n\nYes sir.");
}

#[tokio::test]
async fn an_edit_brings_the_first_words_of_a_whole_answer_too() {
    let edit = json!({"type": "chat:completion", "data": {"phase": "answer", "edit_index": 0,
        "edit_content": "First words"}});
    let gateway = web(Script::events([edit.to_string(), answer(", then more."), end()])).await;
    assert_eq!(content(&gateway, json!({})).await, "First words, then more.");
}

#[tokio::test]
async fn the_output_of_the_upstreams_tools_is_no_answer() {
    let output = json!({"type": "chat:completion", "data": {"phase": "tool_response",
        "tool_name": "search", "delta_content": "A page.", "status": "completed"}});
    let gateway = web(Script::events([output.to_string(), answer("So."), end()])).await;
    assert_eq!(content(&gateway, json!({})).await, "So.");
}

#[tokio::test]
async fn a_very_long_line_is_read_whole() {
    let long = text::words(3_000_000, 7);
    let gateway = web(Script::events([answer(&long), end()])).await;
    assert_eq!(content(&gateway, json!({})).await, long);
}

#[tokio::test]
async fn an_error_with_a_word_for_its_code_is_no_empty_answer() {
    let gateway = web(faults::web_error("SOME_WORD", "did not work")).await;
    for stream in [true, false] {
        let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
        assert_eq!(reply.status, 502);
        assert!(reply.text().await.contains("did not work"));
    }
}

#[tokio::test]
async fn an_error_within_a_stream_does_not_look_like_success() {
    let error = faults::web_error_event("INTERNAL_ERROR", "broke");
    let gateway = web(Script::events([answer("half"), error])).await;
    let events = gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
    assert!(
        events.iter().all(|event| event != "[DONE]" && !event.contains("\"stop\"")),
        "{events:?}"
    );
    assert!(events.last().unwrap().contains("\"error\""));
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
}

#[tokio::test]
async fn usage_is_the_upstreams_and_never_zeros() {
    let usage = json!({"type": "chat:completion", "data": {"phase": "other",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}});
    let gateway = web(Script::events([answer("a"), usage.to_string(), answer("b"), end()])).await;
    let body = gateway.chat("GLM-4.5", json!({})).await.json().await;
    assert_eq!(body["usage"]["total_tokens"], 7);
    assert_eq!(body["choices"][0]["message"]["content"], "ab", "the piece after the usage is kept");
    gateway.sim.set_plan(Script::events([answer("a"), end()]));
    let body = gateway.chat("GLM-4.5", json!({})).await.json().await;
    assert_eq!(body.get("usage"), None);
}

#[tokio::test]
async fn a_stream_is_not_cut_by_the_time_a_request_may_take() {
    let endless = Script::events([answer("tide ")]).pace(Duration::from_millis(20)).endless();
    let gateway = Gateway::with(Dialect::ZaiWeb, endless, &[("REQUEST_TIMEOUT", LONG)]).await;
    let mut reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    reply.event().await.expect("it has begun");
    pass_long().await;
    // More than is on its way.
    for _ in 0..20 {
        let event = reply.event().await.expect("it goes on");
        assert!(!event.contains("error"), "{event}");
    }
}

#[tokio::test]
async fn no_retries_means_one_attempt_and_a_refusal_is_not_repeated() {
    let failure = || faults::detail(500, "oh");
    let gateway = Gateway::with(Dialect::ZaiWeb, failure(), &[("MAX_RETRIES", "0")]).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    assert_eq!(gateway.sim.chat_requests(), 1);
    for status in [400, 403, 404, 405, 426] {
        let gateway = web(faults::detail(status, "no")).await;
        gateway.chat("GLM-4.5", json!({})).await.text().await;
        assert_eq!(gateway.sim.chat_requests(), 1, "{status}");
    }
    let once = fails_first(
        1,
        faults::web_error("INTERNAL_ERROR", "oh"),
        Script::events([answer("a"), end()]),
    );
    let gateway = Gateway::start(Dialect::ZaiWeb, once).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200, "an error event is retried");
}

#[tokio::test]
async fn browsers_may_ask_and_typos_are_told() {
    let gateway = web(Script::events([answer("a"), end()])).await;
    let asked = [("origin", "https://x.example"), ("access-control-request-method", "POST")];
    let preflight = gateway.send("OPTIONS", "/v1/chat/completions", &asked, b"").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    assert_eq!(gateway.get("/v1/chat/completion").await.status, 404);
    let raw = gateway.send("POST", "/v1/chat/completions", &[("authorization", KEY)], b"{}").await;
    assert_eq!(raw.status, 401, "a key without its scheme does not pass");
}

#[tokio::test]
async fn the_queue_is_one_and_a_refusal_says_when_to_come_back() {
    let stuck = Script::events([answer("a"), end()]).stall_after(1);
    let variables = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")];
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck, &variables).await;
    let _first = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    let refused = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("content-type"), Some("application/json"));
    let status = gateway.get("/status").await.json().await;
    assert_eq!((&status["total_requests"], &status["error_count"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn an_end_mark_ends_with_a_finish_reason_in_either_of_its_forms() {
    for mark in ["[DONE]", r#"{"data":"[DONE]"}"#] {
        let gateway = web(Script::events([answer("a"), mark.to_owned()])).await;
        let events = gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
        let [.., last, done] = &events[..] else { panic!("{events:?}") };
        assert!(last.contains(r#""finish_reason":"stop""#), "{last}");
        assert_eq!(done, "[DONE]");
    }
}

#[tokio::test]
async fn the_tag_of_the_thinking_is_closed_however_the_answer_ends() {
    let block = "<details type=\"reasoning\" done=\"false\">\n> Hm";
    let broken = faults::web_error_event("INTERNAL_ERROR", "broke");
    for events in [
        vec![thinking(block), end()],
        vec![thinking("Hm"), end()],
        vec![thinking(block)],
        vec![thinking("Hm"), broken],
    ] {
        let gateway = web(Script::events(&events)).await;
        let told = gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
        assert_eq!(streamed_content(&told), "<think>\nHm\n</think>\n\n", "{events:?}");
    }
}

#[tokio::test]
async fn a_chunk_has_a_delta_and_no_empty_message() {
    let gateway = web(Script::events([answer("a"), end()])).await;
    let events = gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let choice = &chunk["choices"][0];
        assert!(choice["delta"].is_object() && choice.get("message").is_none(), "{event}");
        assert!(choice.get("finish_reason").is_some(), "at least null: {event}");
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_no_success() {
    let title = r#"{"type":"chat:title","data":"Tides"}"#.to_owned();
    for events in [vec![end()], vec![title, end()], vec![r#"{"code":500,"msg":"oh"}"#.to_owned()]] {
        let gateway =
            Gateway::with(Dialect::ZaiWeb, Script::events(&events), &[("MAX_RETRIES", "0")]).await;
        for stream in [true, false] {
            let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
            assert_eq!(reply.status, 502, "{events:?}");
            assert!(reply.json().await["error"]["message"].is_string());
        }
    }
}

#[tokio::test]
async fn without_a_guest_nobody_elses_token_is_used() {
    let gateway = web(Script::events([answer("a"), end()])).await;
    gateway.sim.guests(Guests::Status(503));
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(reply.status, 502);
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn the_models_are_as_old_as_they_are_and_not_as_the_process() {
    let mut dates = Vec::new();
    for _ in 0..2 {
        let gateway = web(Script::events([end()])).await;
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str())];
        let list = gateway.send("GET", "/v1/models", &headers, b"").await.json().await;
        dates.push(list["data"][0]["created"].as_u64().unwrap());
    }
    assert_eq!(dates[0], dates[1]);
    assert!(dates[0] < 1_800_000_000);
}
