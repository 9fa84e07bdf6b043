//! Each setting changed, and its effect seen from outside.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use z2api_config::{Config, Flags, VARIABLES, keygen};
use z2api_tests::{Gateway, KEY, LONG, PATIENCE, pass_long};
use z2api_upstream_sim::{Plan, Script, fails_first, faults};
use z2api_wire::event::Dialect;

const PATH: &str = "/v1/chat/completions";

fn piece(text: &str) -> String {
    json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}})
        .to_string()
}

fn end() -> String {
    json!({"type": "chat:completion", "data": {"phase": "done", "done": true}}).to_string()
}

fn fine() -> Script {
    Script::events([piece("fine"), end()])
}

async fn web(plan: impl Plan, variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::ZaiWeb, plan, variables).await
}

/// A file with this text that is gone with its holder.
fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

async fn ask_with(gateway: &Gateway, key: &str, model: &str) -> (u16, Option<String>, Value) {
    let bearer = format!("Bearer {key}");
    let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let headers = [("authorization", bearer.as_str())];
    let reply = gateway.send("POST", PATH, &headers, body.as_bytes()).await;
    let wait = reply.header("retry-after").map(str::to_owned);
    (reply.status, wait, reply.json().await)
}

#[tokio::test]
async fn default_key_may_be_several() {
    let gateway = web(fine(), &[("DEFAULT_KEY", "sk-first-key, sk-second-key")]).await;
    for key in ["sk-first-key", "sk-second-key"] {
        assert_eq!(ask_with(&gateway, key, "GLM-4.5").await.0, 200);
    }
    assert_eq!(ask_with(&gateway, KEY, "GLM-4.5").await.0, 401);
    assert_eq!(ask_with(&gateway, "sk-first-key, sk-second-key", "GLM-4.5").await.0, 401);
}

#[tokio::test]
async fn keys_of_the_file_have_names_and_limits() {
    let keys: Vec<(String, String)> = ["ann", "bob", "cy", "dee"]
        .map(|name| keygen(name).map(|(key, line)| (key.expose().to_owned(), line)).unwrap())
        .into();
    let limits = ["models=GLM-4.5", "per_minute=1", "concurrent=1", "expires=2020-01-01"];
    let lines: Vec<String> =
        keys.iter().zip(limits).map(|((_, line), limit)| format!("{line} {limit}\n")).collect();
    let file = file(&lines.concat());
    let gateway = web(fine(), &[("API_KEYS_FILE", path(&file))]).await;
    let key = |at: usize| keys[at].0.as_str();

    assert_eq!(ask_with(&gateway, key(0), "glm-4.5").await.0, 200);
    let (status, _, body) = ask_with(&gateway, key(0), "GLM-4.6").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    let bearer = format!("Bearer {}", key(0));
    let list = gateway.send("GET", "/v1/models", &[("authorization", &bearer)], b"").await;
    assert_eq!(list.json().await["data"].as_array().unwrap().len(), 1);

    assert_eq!(ask_with(&gateway, key(1), "GLM-4.5").await.0, 200);
    let (status, wait, body) = ask_with(&gateway, key(1), "GLM-4.5").await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!((1..=60).contains(&wait.unwrap().parse::<u32>().unwrap()));

    gateway.sim.set_plan(fine().stall_after(1));
    let bearer = format!("Bearer {}", key(2));
    let body =
        json!({"model": "GLM-4.5", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let headers = [("authorization", bearer.as_str())];
    let held = gateway.send("POST", PATH, &headers, body.to_string().as_bytes()).await;
    assert_eq!(held.status, 200);
    assert_eq!(ask_with(&gateway, key(2), "GLM-4.5").await.0, 429);
    drop(held);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    gateway.sim.set_plan(fine());
    assert_eq!(ask_with(&gateway, key(2), "GLM-4.5").await.0, 200);

    let (status, _, body) = ask_with(&gateway, key(3), "GLM-4.5").await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")));
    assert_eq!(body["error"]["message"], "The API key has expired.");
    // Logs and metrics show the name, of refused requests too.
    let refused = |line: &&Value| line["key_name"] == "bob" && line["status_code"] == 429;
    assert!(gateway.lines("response", 7).await.iter().any(|line| refused(&line)));
    assert_eq!(gateway.lines("request", 1).await[0]["key_name"], "ann");
    let metrics = gateway.get("/metrics").await.text().await;
    for line in [
        "z2api_key_requests_total{key=\"ann\",status=\"200\"} 1",
        "z2api_key_requests_total{key=\"ann\",status=\"404\"} 1",
        "z2api_key_requests_total{key=\"bob\",status=\"429\"} 1",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} in {metrics}");
    }
    assert!(!gateway.log.lines().join("").contains(key(0)));
}

#[tokio::test]
async fn the_upstream_is_told_the_names_that_are_set() {
    let names = [
        ("UPSTREAM_USER_AGENT", "my-house/1"),
        ("UPSTREAM_FE_VERSION", "prod-fe-9"),
        ("UPSTREAM_ACCEPT_LANGUAGE", "de"),
    ];
    let gateway = web(fine(), &names).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    let chat = &gateway.sim.chats()[0];
    assert_eq!(chat.header("user-agent"), Some("my-house/1"));
    assert_eq!(chat.header("x-fe-version"), Some("prod-fe-9"));
    assert_eq!(chat.header("accept-language"), Some("de"));
}

#[tokio::test]
async fn the_dialect_can_be_forced() {
    let api = Script::events([
        r#"{"choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    let forced = [("UPSTREAM_DIALECT", "openai"), ("UPSTREAM_TOKEN", "t-1234")];
    let gateway = web(api, &forced).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    assert_eq!(gateway.sim.chats()[0].json()["model"], "glm-4.5");
}

#[tokio::test]
async fn all_requests_go_through_the_proxy_that_is_set() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_url = format!("http://me:secret@{}", proxy.local_addr().unwrap());
    // Answers in the upstream's place; gives the head that it was shown.
    let proxy = tokio::spawn(async move {
        let (mut socket, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
             data: {}\n\ndata: {}\n\n",
            piece("fine"),
            end()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let variables = [
        ("UPSTREAM_URL", "http://upstream.example/api/chat/completions"),
        ("UPSTREAM_ALLOW_HTTP", "true"),
        ("UPSTREAM_TOKEN", "a-token"),
        ("UPSTREAM_PROXY", &proxy_url),
    ];
    let gateway = web(fine(), &variables).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    let head = proxy.await.unwrap();
    let first = "POST http://upstream.example/api/chat/completions HTTP/1.1\r\n";
    assert!(head.starts_with(first), "{head}");
    // "me:secret" in base64.
    assert!(head.to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0\r\n"), "{head}");
    assert_eq!(gateway.sim.requests().len(), 0);
}

/// What the gateway says first to an upstream behind TLS: its greeting, in which the protocols it
/// offers stand as plain text.
async fn tls_greeting(http2: &str) -> Vec<u8> {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/api/chat/completions", upstream.local_addr().unwrap());
    let variables = [
        ("UPSTREAM_URL", url.as_str()),
        ("UPSTREAM_TOKEN", "a-token"),
        ("UPSTREAM_HTTP2", http2),
        ("MAX_RETRIES", "0"),
    ];
    let gateway = web(fine(), &variables).await;
    let greeted = async {
        let (mut socket, _) = upstream.accept().await.unwrap();
        let mut record = [0; 5];
        socket.read_exact(&mut record).await.unwrap();
        let mut greeting = vec![0; u16::from_be_bytes([record[3], record[4]]).into()];
        socket.read_exact(&mut greeting).await.unwrap();
        greeting
    };
    // The upstream hangs up after the greeting.
    let (greeting, reply) = tokio::join!(greeted, gateway.chat("GLM-4.5", json!({})));
    assert_eq!(reply.status, 502);
    greeting
}

#[tokio::test]
async fn http2_is_offered_to_the_upstream_unless_it_is_not_wanted() {
    let offers = |greeting: &[u8]| greeting.windows(3).any(|word| word == b"\x02h2");
    assert!(offers(&tls_greeting("true").await));
    assert!(!offers(&tls_greeting("false").await));
}

#[tokio::test]
async fn connecting_may_take_its_time_and_no_more() {
    // Takes connections, and never answers the greeting of TLS.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/api/chat/completions", mute.local_addr().unwrap());
    let variables = [
        ("UPSTREAM_URL", url.as_str()),
        ("UPSTREAM_TOKEN", "a-token"),
        ("UPSTREAM_CONNECT_TIMEOUT", "50"),
        ("MAX_RETRIES", "0"),
    ];
    let gateway = web(fine(), &variables).await;
    // Long before REQUEST_TIMEOUT, which is 120 s.
    let reply = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.json().await["error"]["code"], "upstream_connect");
}

#[test]
fn without_guests_the_web_chat_needs_a_token() {
    let load = |variables: &[(&str, &str)]| {
        Config::from_lookup(&Flags::default(), &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        })
    };
    let problems = load(&[("ANON_TOKEN_ENABLED", "false")]).unwrap_err();
    assert_eq!(problems.0[0].variable, "UPSTREAM_TOKEN");
    assert!(load(&[("ANON_TOKEN_ENABLED", "no"), ("UPSTREAM_TOKEN", "t")]).is_ok());
    let plain = ("UPSTREAM_URL", "http://upstream.example/api/chat/completions");
    assert_eq!(load(&[plain]).unwrap_err().0[0].variable, "UPSTREAM_URL");
    assert!(load(&[plain, ("UPSTREAM_ALLOW_HTTP", "true")]).is_ok());
}

#[tokio::test]
async fn several_tokens_stand_in_for_each_other() {
    let refuse_first = z2api_upstream_sim::plan_fn(|request: &z2api_upstream_sim::Recorded| {
        match request.header("authorization") {
            Some("Bearer token-number-one") => faults::detail(401, "expired"),
            _ => fine(),
        }
    });
    let tokens = [("UPSTREAM_TOKEN", "token-number-one,token-number-two"), ("MAX_RETRIES", "0")];
    let gateway = web(refuse_first, &tokens).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn models_come_from_the_file_that_is_named() {
    let file = file(r#"[{"name":"Mine","zai_web":"their-id","created":1,"thinking":"always"}]"#);
    let gateway = web(fine(), &[("MODELS_FILE", path(&file))]).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 404);
    assert_eq!(gateway.chat("mine", json!({})).await.status, 200);
    let asked = gateway.sim.chats()[0].json();
    assert_eq!(
        (&asked["model"], &asked["features"]["enable_thinking"]),
        (&json!("their-id"), &json!(true))
    );
}

#[tokio::test]
async fn a_model_may_have_a_limit_of_its_own() {
    let file = file(
        r#"[{"name":"Few","zai_web":"few","created":1,"thinking":"optional","concurrency":1},
            {"name":"Many","zai_web":"many","created":1,"thinking":"never"}]"#,
    );
    let stuck = z2api_upstream_sim::plan_fn(|request: &z2api_upstream_sim::Recorded| {
        if request.json()["model"] == "few" { fine().stall_after(1) } else { fine() }
    });
    let variables = [("MODELS_FILE", path(&file)), ("QUEUE_TIMEOUT", "100")];
    let gateway = web(stuck, &variables).await;
    let _held = gateway.chat("Few", json!({"stream": true})).await;
    assert_eq!(gateway.chat("Few-Thinking", json!({})).await.status, 503, "all variants together");
    assert_eq!(gateway.chat("Many", json!({})).await.status, 200);
}

#[tokio::test]
async fn the_performance_mode_sets_what_is_not_set() {
    for (mode, retries, delay, timeout, random) in [
        ("fast", 1, 200, 10_000, "0-100ms"),
        ("balanced", 3, 1000, 120_000, "100-500ms"),
        ("secure", 5, 2000, 60_000, "500-1500ms"),
    ] {
        let unset = ["RETRY_DELAY", "RANDOM_DELAY_MIN", "RANDOM_DELAY_MAX"].map(|name| (name, ""));
        let gateway = web(fine(), &[&[("PERFORMANCE_MODE", mode)], &unset[..]].concat()).await;
        let health = gateway.get("/health").await.json().await;
        assert_eq!(health["performance_mode"], mode);
        let config = &health["config"];
        assert_eq!(
            (&config["max_retries"], &config["retry_delay"]),
            (&json!(retries), &json!(delay))
        );
        assert_eq!(
            (&config["request_timeout"], &config["random_delay"]),
            (&json!(timeout), &json!(random))
        );
    }
}

#[tokio::test]
async fn retries_are_as_many_and_as_late_as_set() {
    let failure = || faults::detail(500, "oh");
    let variables = [
        ("MAX_RETRIES", "2"),
        ("RETRY_DELAY", "20"),
        ("RANDOM_DELAY_MIN", "5"),
        ("RANDOM_DELAY_MAX", "5"),
    ];
    let gateway = web(failure(), &variables).await;
    let asked = std::time::Instant::now();
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    // 20 ms, then 40 ms, and 5 ms more each.
    assert!(asked.elapsed() >= Duration::from_millis(70));
    assert_eq!(gateway.sim.chat_requests(), 3);
    let gateway = web(fails_first(1, failure(), fine()), &[("MAX_RETRIES", "1")]).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
}

#[tokio::test]
async fn the_first_attempt_waits_for_nothing() {
    // A minute, which is longer than the test's patience.
    let minute =
        [("RETRY_DELAY", "60000"), ("RANDOM_DELAY_MIN", "60000"), ("RANDOM_DELAY_MAX", "60000")];
    let gateway = web(fine(), &minute).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
}

#[tokio::test]
async fn health_tells_the_settings_that_hold_also_after_a_reload() {
    let config =
        async |gateway: &Gateway| gateway.get("/health").await.json().await["config"].clone();
    let gateway = web(
        fine(),
        &[
            ("PERFORMANCE_MODE", "secure"),
            ("MAX_RETRIES", "7"),
            ("RETRY_DELAY", "11"),
            ("REQUEST_TIMEOUT", "12345"),
            ("RANDOM_DELAY_MIN", "7"),
            ("RANDOM_DELAY_MAX", "19"),
            ("MAX_CONCURRENT_CONNECTIONS", "5"),
            ("STREAM_BUFFER_SIZE", "2048"),
            ("DISABLE_CONNECTION_CHECK", "on"),
        ],
    )
    .await;
    let expected = json!({
        "max_retries": 7,
        "retry_delay": 11,
        "request_timeout": 12345,
        "random_delay": "7-19ms",
        "max_concurrent_connections": 5,
        "stream_buffer_size": 2048,
        "connection_check_enabled": false,
    });
    assert_eq!(config(&gateway).await, expected);
    gateway.reload(&[("MAX_RETRIES", "1"), ("RANDOM_DELAY_MAX", "3")]);
    let after = config(&gateway).await;
    assert_eq!((&after["max_retries"], &after["random_delay"]), (&json!(1), &json!("0-3ms")));
    assert_eq!(after["max_concurrent_connections"], 1000);
}

#[tokio::test]
async fn thinking_is_shown_as_the_setting_says_and_separate_is_another_word_for_reasoning() {
    let thought =
        json!({"type": "chat:completion", "data": {"delta_content": "hm", "phase": "thinking"}});
    let plan = Script::events([thought.to_string(), piece("fine"), end()]);
    for (mode, content, reasoning) in [
        ("think", "<think>\nhm\n</think>\n\nfine", Value::Null),
        ("strip", "fine", Value::Null),
        ("reasoning", "fine", json!("hm")),
        ("separate", "fine", json!("hm")),
    ] {
        let gateway = web(plan.clone(), &[("THINK_TAGS_MODE", mode)]).await;
        let message = gateway.chat("GLM-4.5-Thinking", json!({})).await.json().await["choices"][0]
            ["message"]
            .clone();
        assert_eq!(message["content"], content, "{mode}");
        assert_eq!(message["reasoning_content"], reasoning, "{mode}");
    }
    let gateway = web(plan, &[]).await;
    let fields = json!({"reasoning_format": "separate"});
    let message = gateway.chat("GLM-4.5-Thinking", fields).await.json().await;
    assert_eq!(message["choices"][0]["message"]["reasoning_content"], "hm");
}

#[tokio::test]
async fn a_stream_may_take_its_time_and_no_more() {
    let endless = Script::events([piece("on ")]).pace(Duration::from_millis(20)).endless();
    let gateway = web(endless, &[("STREAM_TIMEOUT", LONG)]).await;
    let mut reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    for _ in 0..3 {
        assert!(!reply.event().await.expect("it goes on").contains("error"));
    }
    pass_long().await;
    let events = reply.events().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "upstream_lifetime_timeout");
    assert_eq!(gateway.lines("response", 1).await[0]["error_owner"], "upstream");
}

#[tokio::test]
async fn the_stream_buffer_bounds_a_chunk_of_the_body() {
    let events: Vec<String> = (0..400).map(|_| piece("0123456789")).chain([end()]).collect();
    let at_once = Script::events(events).together();
    let mut largest = Vec::new();
    for size in ["1024", "1048576"] {
        let gateway = web(at_once.clone(), &[("STREAM_BUFFER_SIZE", size)]).await;
        let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
        let health = gateway.get("/health").await.json().await;
        assert_eq!(health["config"]["stream_buffer_size"].to_string(), size);
        largest.push(reply.largest_chunk().await);
    }
    assert!(largest[0] < largest[1], "{largest:?}");
}

#[tokio::test]
async fn status_asks_for_the_admin_key_if_there_is_one() {
    let gateway = web(fine(), &[("ADMIN_KEY", "an-admin-key")]).await;
    assert_eq!(gateway.get("/status").await.status, 401);
    let with = async |key: &str| {
        let bearer = format!("Bearer {key}");
        gateway.send("GET", "/status", &[("authorization", &bearer)], b"").await.status
    };
    assert_eq!((with("an-admin-key").await, with(KEY).await), (200, 401));
    assert_eq!(gateway.get("/health").await.status, 200);
}

#[tokio::test]
async fn metrics_are_served_unless_they_are_off() {
    let gateway = web(fine(), &[]).await;
    gateway.chat("glm-4.5", json!({"stream": true})).await.text().await;
    gateway.chat("made-up-by-a-client", json!({})).await.text().await;
    gateway.get("/made-up-by-a-client").await.text().await;
    gateway.lines("response", 3).await;
    let reply = gateway.get("/metrics").await;
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = reply.text().await;
    for line in [
        "z2api_requests_total{route=\"chat_completions\",model=\"GLM-4.5\",status=\"200\",owner=\"none\"} 1",
        "z2api_requests_total{route=\"chat_completions\",model=\"\",status=\"404\",owner=\"client\"} 1",
        "z2api_requests_total{route=\"unknown\",model=\"\",status=\"404\",owner=\"client\"} 1",
        "z2api_failures_total{kind=\"model_not_found\"} 1",
        "z2api_requests_in_flight 0",
        "z2api_requests_limit 1000",
        "z2api_request_duration_seconds_count{model=\"GLM-4.5\"} 1",
        "z2api_upstream_tokens{state=\"ok\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    assert!(!text.contains("made-up"), "no label is a client's invention");
    let off = web(fine(), &[("ENABLE_METRICS", "false")]).await;
    assert_eq!(off.get("/metrics").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_logged_from_time_to_time() {
    let gateway = web(fine(), &[]).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let line = &gateway.lines("status", 1).await[0];
    assert_eq!((&line["level"], &line["current_connections"]), (&json!("INFO"), &json!(0)));
    assert!(line.get("models").is_none(), "it does not grow with the table");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let headers = [("x-forwarded-for", "1.1.1.1, 2.2.2.2")];
    for (trusted, expected) in [
        ("127.0.0.1", "2.2.2.2"),
        ("127.0.0.1,2.2.2.2", "1.1.1.1"),
        ("127.0.0.0/8, 2.2.0.0/16", "1.1.1.1"),
        ("", "127.0.0.1"),
    ] {
        let gateway = web(fine(), &[("TRUSTED_PROXIES", trusted)]).await;
        gateway.send("GET", "/health", &headers, b"").await.text().await;
        assert_eq!(gateway.lines("response", 1).await[0]["client_ip"], expected);
    }
}

#[tokio::test]
async fn the_log_holds_what_is_asked_for_and_no_more() {
    let quiet = web(fine(), &[("ENABLE_DETAILED_LOGGING", "false")]).await;
    quiet.chat("GLM-4.5", json!({})).await.text().await;
    assert_eq!(quiet.get("/status").await.json().await["total_requests"], 1);
    assert!(quiet.log.lines().is_empty());

    let full = web(fine(), &[("LOG_USER_MESSAGES", "true"), ("LOG_RESPONSE_CONTENT", "yes")]).await;
    for stream in [true, false] {
        full.chat("GLM-4.5", json!({"stream": stream})).await.text().await;
    }
    let (asked, answered) = (full.lines("request", 2).await, full.lines("response", 2).await);
    for line in asked {
        let asked = json!([{"role": "user", "content": "How do tides work?"}]);
        assert_eq!(line["messages"], asked, "{line}");
    }
    for line in answered {
        assert_eq!(line["content"], "fine");
    }
}

#[tokio::test]
async fn a_stop_may_be_delayed() {
    let gateway = web(fine(), &[("SHUTDOWN_DELAY", "10")]).await;
    assert_eq!(gateway.get("/health/ready").await.status, 200);
    gateway.stop();
    let not_ready = async || gateway.get("/health/ready").await.status == 503;
    let waiting = async { while !not_ready().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("not ready");
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200, "it still serves");
    assert_eq!(gateway.get("/health/live").await.status, 200);
    pass_long().await;
    gateway.stopped().await;
}

#[tokio::test]
async fn new_settings_are_taken_without_dropping_a_request() {
    let gateway = web(fine().stall_after(1), &[]).await;
    let mut running = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    running.event().await.expect("a chunk");
    gateway.sim.set_plan(fine());
    let models = file(r#"[{"name":"Mine","zai_web":"x","created":1,"thinking":"never"}]"#);
    let restart = gateway.reload(&[
        ("MODELS_FILE", path(&models)),
        ("MAX_CONCURRENT_CONNECTIONS", "2"),
        ("THINK_TAGS_MODE", "strip"),
        ("UPSTREAM_TOKEN", "another-token"),
        ("CORS_ALLOW_ORIGINS", "https://a.example"),
        ("PORT", "1"),
    ]);
    assert_eq!(restart, ["PORT"]);
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 404);
    let reply = gateway.chat("Mine", json!({})).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    let last = gateway.sim.chats().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer another-token"));
    assert_eq!(gateway.get("/status").await.json().await["max_connections"], 2);
    assert_eq!(gateway.in_flight(), 1, "the running request goes on");
    assert_eq!(gateway.sim.open_streams(), 1);
    gateway.reload(&[("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")]);
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 503);
}

#[tokio::test]
async fn a_new_secret_of_the_collectors_needs_a_restart_though_it_is_shown_as_the_old_one() {
    let with = |secret: &'static str| {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
        [endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", secret)]
    };
    let gateway = web(fine(), &with("authorization=Basic%20one")).await;
    assert_eq!(gateway.reload(&with("authorization=Basic%20one")), Vec::<&str>::new());
    let restart = gateway.reload(&with("authorization=Basic%20two"));
    assert_eq!(restart, ["OTEL_EXPORTER_OTLP_HEADERS"]);
}

#[test]
fn every_setting_is_changed_by_some_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        (path.extension()? == "rs").then_some(path)
    });
    let process = ["start", "reload"]
        .map(|part| format!("{folder}/../bins/z2api-server/tests/process/{part}.rs").into());
    let parts = ["responses/kept", "traces/calls", "traces/context", "traces/sending"]
        .map(|part| format!("{folder}/{part}.rs").into());
    let tests: String = files
        .chain(process)
        .chain(parts)
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let untested: Vec<&str> = VARIABLES
        .iter()
        .map(|variable| variable.name)
        .filter(|name| {
            !tests.contains(&format!("(\"{name}\"")) && !tests.contains(&format!("{name}="))
        })
        .collect();
    assert!(untested.is_empty(), "no test changes {untested:?}");
}

#[tokio::test]
async fn the_operators_pages_may_have_an_address_of_their_own() {
    let apart = [("ADMIN_ADDR", "127.0.0.1:0"), ("ADMIN_KEY", "an-admin-key-0123456789")];
    let gateway = web(fine().stall_after(1), &apart).await;
    let key = [("authorization", "Bearer an-admin-key-0123456789")];
    for path in ["/status", "/metrics", "/dashboard"] {
        let reply = gateway.send("GET", path, &key, b"").await;
        assert_eq!(reply.status, 404, "{path} is not for clients");
        assert_eq!(gateway.get_as_operator(path, &key).await.status, 200, "{path}");
    }
    assert_eq!(gateway.get_as_operator("/status", &[]).await.status, 401);
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
        assert_eq!(gateway.get_as_operator(path, &[]).await.status, 200, "{path}");
    }
    let mut held = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    held.event().await.expect("a chunk");
    gateway.stop();
    let not_ready = async || gateway.get_as_operator("/health/ready", &[]).await.status == 503;
    let waiting = async { while !not_ready().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it can be watched while it stops");
    assert_eq!(gateway.get_as_operator("/status", &key).await.status, 200);
    drop(held);
    gateway.stopped().await;
}
