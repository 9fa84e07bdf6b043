//! What goes wrong, and how the client learns of it.

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, LONG, Reply};
use z2api_upstream_sim::{Plan, Script, fails_first, faults};
use z2api_wire::event::Dialect;

const PATH: &str = "/v1/chat/completions";

fn fine() -> Script {
    Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"fine","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ])
}

/// The error object, after a look at what every error has.
async fn error_of(reply: Reply) -> Value {
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert!(reply.header("x-request-id").is_some());
    let body = reply.json().await;
    let error = body["error"].clone();
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "{field} in {body}");
    }
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    assert!(error["type"].is_string(), "{body}");
    error
}

#[tokio::test]
async fn only_a_bearer_with_a_known_key_may_ask() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let good = format!("bEaReR {KEY}");
    let body = br#"{"model":"GLM-4.5","messages":[{"role":"user","content":"x"}]}"#;
    let reply = gateway.send("POST", PATH, &[("authorization", &good)], body).await;
    assert_eq!(reply.status, 200);
    let basic = format!("Basic {KEY}");
    for value in ["Bearer wrong-key-0123456789", KEY, "Bearer", &basic] {
        let reply = gateway.send("POST", PATH, &[("authorization", value)], body).await;
        assert_eq!(reply.status, 401, "{value}");
        assert_eq!(error_of(reply).await["code"], "invalid_api_key");
    }
    let reply = gateway.send("POST", PATH, &[("x-api-key", KEY)], body).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(gateway.sim.chat_requests(), 1, "a stranger costs nothing upstream");
    assert!(gateway.log.lines().iter().all(|line| !line.contains("wrong-key")));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    for path in ["/", "/v1", "/v1/", "/v1/models/", "/v1/v1/models", "/v1/chat", "/v1/health"] {
        let reply = gateway.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        error_of(reply).await;
    }
    for (method, path, allowed) in [
        ("GET", PATH, "POST, OPTIONS"),
        ("GET", "/completions", "POST, OPTIONS"),
        ("POST", "/v1/models", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models/GLM-4.5", "GET, HEAD, OPTIONS"),
        ("PUT", "/health", "GET, HEAD, OPTIONS"),
        ("PATCH", "/status", "GET, HEAD, OPTIONS"),
    ] {
        let reply = gateway.send(method, path, &[], b"").await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
        error_of(reply).await;
    }
}

#[tokio::test]
async fn what_is_not_offered_is_told_by_name() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    for (method, path, what) in [
        ("POST", "/v1/embeddings", "embeddings"),
        ("POST", "/embeddings", "embeddings"),
        ("POST", "/v1/images/generations", "images"),
        ("POST", "/v1/audio/transcriptions", "audio"),
        ("GET", "/v1/assistants", "assistants"),
        ("GET", "/v1/files/file-1", "files"),
        ("DELETE", "/v1/fine_tuning/jobs/1", "fine_tuning"),
        ("POST", "/v1/responses/input_tokens", "responses/input_tokens"),
        ("POST", "/responses/compact", "responses/compact"),
    ] {
        let reply = gateway.send(method, path, &[], b"{}").await;
        assert_eq!(reply.status, 404, "{path}");
        let error = error_of(reply).await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("invalid_request_error"), &json!("unknown_url"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("does not offer `{what}`")), "{message}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_a_415_and_a_forgotten_type_is_forgiven() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = format!("Bearer {KEY}");
    let body = br#"{"model":"GLM-4.5","messages":[{"role":"user","content":"x"}]}"#;
    for kind in ["multipart/form-data; boundary=x", "application/xml"] {
        let headers = [("authorization", key.as_str()), ("content-type", kind)];
        let reply = gateway.send("POST", PATH, &headers, body).await;
        assert_eq!(reply.status, 415, "{kind}");
        assert_eq!(error_of(reply).await["code"], "unsupported_media_type");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("authorization", key.as_str()), ("content-type", kind)];
        assert_eq!(gateway.send("POST", PATH, &headers, body).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_told_which_field() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = format!("Bearer {KEY}");
    let user = r#""messages":[{"role":"user","content":"x"}]"#;
    for (body, param) in [
        (String::new(), Value::Null),
        ("{".to_owned(), Value::Null),
        ("\u{0}\u{1}".to_owned(), Value::Null),
        (format!("{{{user}}}"), json!("model")),
        (r#"{"model":"GLM-4.5"}"#.to_owned(), json!("messages")),
        (r#"{"model":"GLM-4.5","messages":[]}"#.to_owned(), json!("messages")),
        (
            r#"{"model":"GLM-4.5","messages":[{"role":"user"}]}"#.to_owned(),
            json!("messages[0].content"),
        ),
        (
            r#"{"model":"GLM-4.5","messages":[{"role":"king","content":"x"}]}"#.to_owned(),
            json!("messages[0].role"),
        ),
        (format!(r#"{{"model":"GLM-4.5",{user},"temperature":"hot"}}"#), json!("temperature")),
        (format!(r#"{{"model":"GLM-4.5",{user},"n":3}}"#), json!("n")),
        (
            format!(r#"{{"model":"GLM-4.5",{user},"tools":[{{"type":"function"}}]}}"#),
            json!("tools"),
        ),
        (format!(r#"{{"model":"GLM-4.5","model":"GLM-4.6",{user}}}"#), json!("model")),
        ("\u{feff}{}".to_owned(), Value::Null),
        (format!(r#"[{{"model":"GLM-4.5",{user}}}]"#), Value::Null),
        (format!(r#"{{"model":"GLM-4.5",{user},"max_tokens":-1}}"#), json!("max_tokens")),
        (format!(r#"{{"model":"GLM-4.5",{user},"top_p":1e999}}"#), json!("top_p")),
        (format!(r#"{{"model":"GLM-4.5",{user},"seed":"x"}}"#), json!("seed")),
        (
            r#"{"model":"GLM-4.5","messages":[{"role":"user","content":[{"type":"smell"}]}]}"#
                .to_owned(),
            json!("messages[0].content[0].type"),
        ),
        (format!(r#"{{"model":"GLM-4.5",{user},"x":[0,{}"#, "[".repeat(100_000)), json!("x[1]")),
    ] {
        let reply = gateway.send("POST", PATH, &[("authorization", &key)], body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{body}");
        let error = error_of(reply).await;
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert_eq!(error["param"], param, "{body}: {error}");
    }
    let reply = gateway.chat("gpt-4o", json!({})).await;
    assert_eq!(reply.status, 404);
    let error = error_of(reply).await;
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
    assert_eq!(gateway.sim.chat_requests(), 0);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_told_by_their_place() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = format!("Bearer {KEY}");
    let mut body = br#"{"model":"GLM-4.5","messages":[{"role":"user","content":"private "#.to_vec();
    let at = body.len();
    body.extend_from_slice(b"\xff\"}]}");
    let reply = gateway.send("POST", PATH, &[("authorization", &key)], &body).await;
    assert_eq!(reply.status, 400);
    let error = error_of(reply).await;
    assert_eq!(error["param"], "messages[0]");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("at byte {at}")) && !message.contains("private"),
        "{message}"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_either_framing() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("MAX_BODY_MB", "1")]).await;
    let key = format!("Bearer {KEY}");
    let large = vec![b' '; 1024 * 1024 + 1];
    let reply = gateway.send("POST", PATH, &[("authorization", &key)], &large).await;
    assert_eq!(reply.status, 413);
    error_of(reply).await;
    let content = "x".repeat(1024 * 1024 - 200);
    let fits = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": content}]});
    assert_eq!(gateway.post(&fits).await.status, 200);
    let encoded = [("authorization", key.as_str()), ("content-encoding", "gzip")];
    assert_eq!(gateway.send("POST", PATH, &encoded, b"x").await.status, 415);
}

async fn check_upstream(plan: impl Plan + Clone, status: u16, code: &str, says: &str) {
    for stream in [true, false] {
        // A gateway each: a refusal may give the token a rest.
        let variables = [("MAX_RETRIES", "0")];
        let gateway = Gateway::with(Dialect::ZaiWeb, plan.clone(), &variables).await;
        let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
        assert_eq!(reply.status, status, "{code}");
        if status == 429 {
            assert!(reply.header("retry-after").is_some(), "{code}");
        }
        let error = error_of(reply).await;
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
        assert!(!message.contains('<'), "no HTML: {message}");
    }
}

#[tokio::test]
async fn each_refusal_of_the_upstream_has_its_status_and_advice() {
    let captcha = faults::web_error("FRONTEND_CAPTCHA_REQUIRED", "Reload the page.");
    check_upstream(captcha, 502, "upstream_captcha_required", "official API").await;
    let version = faults::web_error("426", "Too old.");
    check_upstream(version, 502, "upstream_client_version", "official API").await;
    check_upstream(faults::firewall_page(), 502, "upstream_firewall", "official API").await;
    let busy = faults::web_error("MODEL_CONCURRENCY_LIMIT", "in use");
    check_upstream(busy, 429, "rate_limit_exceeded", "in use").await;
    let slow = Script::status(429, "application/json", "{}").header("retry-after", "7");
    check_upstream(slow, 429, "rate_limit_exceeded", "rate limit").await;
    let bad = Script::status(400, "application/json", r#"{"detail":"no such parameter"}"#);
    check_upstream(bad, 400, "upstream_bad_request", "no such parameter").await;
    let down = Script::status(503, "text/html", "<html>down</html>");
    check_upstream(down, 502, "upstream_error", "503").await;
    check_upstream(faults::empty(), 502, "upstream_empty", "empty").await;
    let elsewhere = faults::redirect("http://127.0.0.1:9/");
    check_upstream(elsewhere, 502, "upstream_redirected", "redirects").await;
    let zipped = fine().gzip();
    check_upstream(zipped, 502, "upstream_not_a_stream", "compressed").await;
    let page = Script::status(200, "text/html", "<html>hello</html>");
    check_upstream(page, 502, "upstream_firewall", "firewall").await;
}

#[tokio::test]
async fn the_upstreams_retry_after_is_passed_on() {
    let plan = Script::status(429, "application/json", "{}").header("retry-after", "7");
    let gateway = Gateway::with(Dialect::ZaiWeb, plan, &[("MAX_RETRIES", "0")]).await;
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
}

#[tokio::test]
async fn a_passing_failure_is_asked_again_and_logged() {
    let failure = Script::status(500, "application/json", r#"{"detail":"oh"}"#);
    let gateway = Gateway::start(Dialect::ZaiWeb, fails_first(2, failure, fine())).await;
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(reply.status, 200);
    reply.text().await;
    assert_eq!(gateway.sim.chat_requests(), 3);
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!(line["retry_count"], 2);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_an_error_the_client_can_see() {
    let half = Script::events([
        r#"{"type":"chat:completion","data":{"delta_content":"half","phase":"answer"}}"#,
    ]);
    for plan in [half.clone(), half.clone().cut_after(1), half.reset_after(1)] {
        let gateway = Gateway::start(Dialect::ZaiWeb, plan).await;
        let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
        assert_eq!(reply.status, 200);
        let events = reply.events().await;
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(last["error"]["code"].is_string(), "{events:?}");
        assert!(events.iter().all(|event| event != "[DONE]" && !event.contains("\"stop\"")));
        assert_eq!(gateway.sim.chat_requests(), 1, "no second try: the client has seen bytes");
        let line = &gateway.lines("response", 1).await[0];
        assert_eq!((&line["status_code"], &line["level"]), (&json!(200), &json!("ERROR")));
        let reply = gateway.chat("GLM-4.5", json!({"stream": false})).await;
        assert_eq!(reply.status, 502, "no part may look whole");
        error_of(reply).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_of_a_broken_stream_arrives_two_hundred_times_out_of_two_hundred() {
    let half = || {
        Script::events([
            r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":" of it"}}]}"#,
        ])
    };
    let refused = Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"half"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":" of it"},"finish_reason":"network_error"}]}"#,
    ]);
    let plans =
        [half().cut_after(2), half().reset_after(2), refused.clone(), refused.event_by_event()];
    for (number, plan) in plans.into_iter().enumerate() {
        let gateway = Gateway::with(Dialect::OpenAi, plan, &[("MAX_RETRIES", "0")]).await;
        for round in 0..5 {
            let asking = (0..10).map(|_| async {
                let events = gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
                let (last, before) = events.split_last().expect("events");
                let last: Value = serde_json::from_str(last).expect("JSON");
                assert!(last["error"]["message"].is_string(), "plan {number}, {round}: {events:?}");
                assert_eq!(last["error"]["type"], "upstream_error");
                assert!(before.iter().all(|event| !event.contains("[DONE]")), "{events:?}");
            });
            futures::future::join_all(asking).await;
        }
    }
}

#[tokio::test]
async fn sdks_are_told_not_to_repeat_what_will_not_help() {
    for (plan, status, retry) in [
        (faults::api_error(429, "1113", "oh"), 429, Some("false")),
        (faults::api_error(400, "1210", "oh"), 400, Some("false")),
        (faults::api_error(500, "500", "oh"), 502, None),
    ] {
        let gateway = Gateway::with(Dialect::OpenAi, plan, &[("MAX_RETRIES", "0")]).await;
        let reply = gateway.chat("GLM-4.5", json!({})).await;
        assert_eq!((reply.status, reply.header("x-should-retry")), (status, retry));
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/chat/completions", nobody.local_addr().unwrap());
    drop(nobody);
    let variables = [("UPSTREAM_URL", url.as_str()), ("MAX_RETRIES", "1"), ("UPSTREAM_TOKEN", "t")];
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &variables).await;
    let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    assert_eq!(reply.status, 502);
    assert_eq!(error_of(reply).await["code"], "upstream_connect");
    assert_eq!(gateway.lines("response", 1).await[0]["retry_count"], 1);
}

/// The error of an answer whose limits are over after so many of the upstream's events.
async fn out_of_time(plan: Script, limits: &[(&str, &str)], stream: bool, events: u64) -> Value {
    let gateway = Gateway::with(Dialect::ZaiWeb, plan, limits).await;
    let asked = async {
        let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
        assert_eq!(reply.status, if stream && events > 0 { 200 } else { 504 });
        if reply.status != 200 {
            return error_of(reply).await;
        }
        let last = reply.events().await.pop().unwrap();
        serde_json::from_str::<Value>(&last).unwrap()["error"].clone()
    };
    gateway.out_of_time(events, asked).await
}

#[tokio::test]
async fn our_clocks_end_in_a_504() {
    let silent = fine().head_after(std::time::Duration::from_secs(600));
    for stream in [true, false] {
        let error = out_of_time(silent.clone(), &[("REQUEST_TIMEOUT", LONG)], stream, 0).await;
        assert_eq!(error["code"], "upstream_first_event_timeout", "{error}");
    }
    let stuck = || fine().stall_after(1);
    // An answer in one piece has two clocks, and the shorter one is named.
    for (request, hold, named) in
        [(LONG, "60000", "REQUEST_TIMEOUT"), ("60000", LONG, "MAX_CONNECTION_TIME")]
    {
        let clocks = [("REQUEST_TIMEOUT", request), ("MAX_CONNECTION_TIME", hold)];
        let error = out_of_time(stuck(), &clocks, false, 1).await;
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
    let error = out_of_time(stuck(), &[("STREAM_IDLE_TIMEOUT", LONG)], true, 1).await;
    assert_eq!(error["code"], "upstream_idle_timeout");
}
