//! What Prometheus is told.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::NamedTempFile;
use z2api_tests::{Gateway, KEY, PATIENCE};
use z2api_upstream_sim::{Script, fails_first, plan_fn};
use z2api_wire::event::Dialect;

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"tide "}}]}"#;

fn fine() -> Script {
    let usage = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;
    Script::events([TEXT, TEXT, usage, "[DONE]"])
}

fn down() -> Script {
    Script::status(503, "application/json", "{}")
}

async fn scrape(gateway: &Gateway) -> String {
    gateway.get("/metrics").await.text().await
}

/// The value of a sample, by its name and labels as they are written.
fn value(scrape: &str, sample: &str) -> Option<f64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    line.parse().ok()
}

fn check(scrape: &str, samples: &[(&str, f64)]) {
    for (sample, wanted) in samples {
        assert_eq!(value(scrape, sample), Some(*wanted), "{sample} in\n{scrape}");
    }
}

#[tokio::test]
async fn a_whole_stream_is_counted_in_all_its_parts() {
    let gateway = Gateway::start(Dialect::OpenAi, fails_first(1, down(), fine())).await;
    gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
    gateway.lines("response", 1).await;
    let ok = r#"z2api_requests_total{route="chat_completions",model="GLM-4.5",status="200",owner="none"}"#;
    check(
        &scrape(&gateway).await,
        &[
            (ok, 1.0),
            ("z2api_upstream_attempts_total{outcome=\"upstream_error\"}", 1.0),
            ("z2api_upstream_attempts_total{outcome=\"answered\"}", 1.0),
            ("z2api_upstream_retries_total", 1.0),
            ("z2api_tokens_total{kind=\"prompt\",model=\"GLM-4.5\"}", 7.0),
            ("z2api_tokens_total{kind=\"completion\",model=\"GLM-4.5\"}", 5.0),
            ("z2api_request_duration_seconds_count{model=\"GLM-4.5\"}", 1.0),
            ("z2api_time_to_first_token_seconds_count{model=\"GLM-4.5\"}", 1.0),
            ("z2api_time_to_first_byte_seconds_count{model=\"GLM-4.5\"}", 1.0),
            ("z2api_time_per_output_token_seconds_count{model=\"GLM-4.5\"}", 1.0),
            ("z2api_queue_wait_seconds_count{queue=\"slot\"}", 1.0),
            ("z2api_queue_wait_seconds_count{queue=\"token\"}", 1.0),
            ("z2api_requests_queued{queue=\"model\"}", 0.0),
            ("z2api_requests_in_flight", 0.0),
            ("z2api_requests_limit", 1000.0),
            ("z2api_upstream_breaker{state=\"closed\"}", 1.0),
            ("z2api_upstream_tokens{state=\"ok\"}", 1.0),
            ("z2api_memory_state{state=\"calm\"}", 1.0),
            ("z2api_ready", 1.0),
            ("z2api_log_lines_dropped_total", 0.0),
            ("z2api_failures_total{kind=\"panic\"}", 0.0),
            ("z2api_failures_total{kind=\"internal_error\"}", 0.0),
            ("z2api_connections_dropped_total{kind=\"too_many\"}", 0.0),
            ("z2api_connections_dropped_total{kind=\"too_many_operators\"}", 0.0),
        ],
    );
    let scrape = scrape(&gateway).await;
    for sample in
        ["z2api_stream_events_total", "z2api_answer_bytes_total", "z2api_event_delay_seconds_count"]
    {
        assert!(value(&scrape, sample).is_some_and(|value| value > 0.0), "{sample} in {scrape}");
    }
}

#[tokio::test]
async fn events_and_bytes_are_counted_while_the_stream_runs() {
    let gateway = Gateway::start(Dialect::OpenAi, fine().stall_after(1)).await;
    let mut reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    while !reply.event().await.expect("a chunk").contains("tide") {}
    let scrape = scrape(&gateway).await;
    check(&scrape, &[("z2api_requests_in_flight", 1.0), ("z2api_stream_events_total", 1.0)]);
    assert!(value(&scrape, "z2api_connections").unwrap() >= 1.0);
    assert!(value(&scrape, "z2api_tasks") > value(&scrape, "z2api_connections"));
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_first_event_cancels_the_upstream_too() {
    let silent = fine().head_after(PATIENCE);
    let beats = [("CONNECTION_CHECK_INTERVAL", "1")];
    let gateway = Gateway::with(Dialect::OpenAi, silent, &beats).await;
    let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    assert_eq!(reply.status, 200, "its head is out, and nothing has come of the upstream");
    drop(reply);
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(line["status_code"], 499, "{line}");
    assert_eq!(line["attempts"][0]["outcome"], "given_up", "{line}");
    check(
        &scrape(&gateway).await,
        &[
            ("z2api_upstream_cancels_total{owner=\"client\"}", 1.0),
            ("z2api_event_delay_seconds_count", 0.0),
        ],
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_upstream_and_that_is_counted() {
    let gateway = Gateway::start(Dialect::OpenAi, fine().stall_after(1)).await;
    let mut reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    reply.event().await.expect("a chunk");
    drop(reply);
    gateway.lines("response", 1).await;
    check(
        &scrape(&gateway).await,
        &[
            ("z2api_upstream_cancels_total{owner=\"client\"}", 1.0),
            ("z2api_failures_total{kind=\"client_hung_up\"}", 1.0),
        ],
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_truncation_by_the_upstreams_fault() {
    let gateway = Gateway::start(Dialect::OpenAi, Script::events([TEXT]).cut_after(1)).await;
    gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
    gateway.lines("response", 1).await;
    let failed = r#"z2api_requests_total{route="chat_completions",model="GLM-4.5",status="200",owner="upstream"}"#;
    check(&scrape(&gateway).await, &[("z2api_upstream_truncations_total", 1.0), (failed, 1.0)]);
}

#[tokio::test]
async fn events_of_unknown_shape_are_counted_whether_an_answer_follows_or_not() {
    let strange = r#"{"tide":"high"}"#;
    let retries = [("MAX_RETRIES", "0")];
    for (script, answers, unknown) in [
        (Script::events([strange, strange, "[DONE]"]), false, 2.0),
        (Script::events([strange, TEXT, strange]).cut_after(3), true, 2.0),
        (Script::events([strange, TEXT, "[DONE]"]), true, 1.0),
    ] {
        let gateway = Gateway::with(Dialect::OpenAi, script, &retries).await;
        let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
        assert_eq!(reply.status, if answers { 200 } else { 502 });
        reply.text().await;
        let line = &gateway.lines("response", 1).await[0];
        if !answers {
            assert_eq!(line["error_kind"], "upstream_empty", "{line}");
        }
        check(&scrape(&gateway).await, &[("z2api_unknown_events_total", unknown)]);
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_room_is_a_rejection_with_its_reason() {
    let few = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")];
    let gateway = Gateway::with(Dialect::OpenAi, fine().stall_after(1), &few).await;
    let mut held = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    held.event().await.expect("a chunk");
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 503);
    gateway.lines("response", 1).await;
    check(&scrape(&gateway).await, &[("z2api_rejections_total{reason=\"server_full\"}", 1.0)]);
}

#[tokio::test]
async fn what_is_told_of_chat_requests_is_told_of_no_others() {
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &[("MAX_CLIENT_CONNECTIONS", "1")]).await;
    let key = format!("Bearer {KEY}");
    let body = json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": "x"}]});
    let headers = [("authorization", key.as_str())];
    let count = "/v1/messages/count_tokens";
    let counted = gateway.send("POST", count, &headers, body.to_string().as_bytes()).await;
    assert_eq!(counted.status, 200);
    gateway.get("/health").await.text().await;
    // The second connection is one too many.
    let _first = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    gateway.until(|gateway| gateway.connections() == 1).await;
    assert_eq!(gateway.get("/v1/models").await.status, 503);
    gateway.lines("response", 3).await;
    let scrape = scrape(&gateway).await;
    check(&scrape, &[("z2api_answer_bytes_total", 0.0), ("z2api_stream_events_total", 0.0)]);
    for of_chats in ["z2api_rejections_total{", "z2api_request_duration_seconds_count{"] {
        assert!(!scrape.contains(of_chats), "{of_chats} in\n{scrape}");
    }
}

#[tokio::test]
async fn who_waits_in_vain_has_waited_too() {
    let few = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("QUEUE_TIMEOUT", "100")];
    let gateway = Gateway::with(Dialect::OpenAi, fine().stall_after(1), &few).await;
    let mut held = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    held.event().await.expect("a chunk");
    let refused = gateway.chat("GLM-4.5", json!({})).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("server-timing").unwrap().contains("queue;dur="));
    let line = &gateway.lines("response", 1).await[0];
    assert!(line["queue_time_ms"].as_u64().is_some_and(|waited| waited >= 100), "{line}");
    let rejected = "z2api_rejections_total{reason=\"queue_timeout\"}";
    let waited = "z2api_queue_wait_seconds_count{queue=\"slot\"}";
    check(&scrape(&gateway).await, &[(rejected, 1.0), (waited, 1.0)]);
}

#[tokio::test]
async fn what_a_tokens_refusals_taught_is_told() {
    let too_many = r#"{"error":{"code":"1302","message":"too many"}}"#;
    let plan = plan_fn(move |asked| match asked.json()["stop"].is_null() {
        true => Script::status(429, "application/json", too_many),
        false => fine().stall_after(1),
    });
    let gateway = Gateway::with(Dialect::OpenAi, plan, &[("MAX_RETRIES", "0")]).await;
    let mut held = gateway.chat("GLM-4.5", json!({"stream": true, "stop": ["x"]})).await;
    held.event().await.expect("a chunk");
    // It waits for its turn: the token may have one request in flight, and has it.
    let waiting = gateway.chat("GLM-4.5", json!({}));
    tokio::pin!(waiting);
    let learned = "z2api_upstream_learned_limit{token=\"0\",model=\"glm-4.5\"}";
    let told = async { while value(&scrape(&gateway).await, learned) != Some(1.0) {} };
    tokio::select! {
        _ = &mut waiting => panic!("no place yet"),
        told = tokio::time::timeout(PATIENCE, told) => told.expect("it is told"),
    }
    let status = gateway.get("/status").await.json().await;
    let wanted = json!([{"model": "glm-4.5", "allowed": 1, "in_flight": 1}]);
    assert_eq!(status["tokens"][0]["learned_limits"], wanted);
}

#[tokio::test]
async fn the_process_and_the_program_are_told_by_the_names_that_all_use() {
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &[("MAX_CLIENT_CONNECTIONS", "77")]).await;
    let scrape = scrape(&gateway).await;
    check(&scrape, &[("z2api_connections_limit", 77.0)]);
    let built = format!("z2api_build_info{{version=\"{}\",revision=\"", env!("CARGO_PKG_VERSION"));
    assert!(scrape.contains(&built), "{scrape}");
    if !cfg!(target_os = "linux") {
        return;
    }
    let of = |name: &str| value(&scrape, name).unwrap_or_else(|| panic!("{name} in {scrape}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - of("process_start_time_seconds");
    assert!((-5.0..86_400.0).contains(&age), "{age}");
    assert!(of("process_cpu_seconds_total") >= 0.0);
    assert!((3.0..=of("process_max_fds")).contains(&of("process_open_fds")), "{scrape}");
    let (resident, all) = (of("process_resident_memory_bytes"), of("process_virtual_memory_bytes"));
    assert!(100_000.0 < resident && resident <= all, "{scrape}");
}

#[tokio::test]
async fn the_scrape_passes_promtools_check() {
    let gateway = Gateway::start(Dialect::OpenAi, fails_first(1, down(), fine())).await;
    gateway.chat("GLM-4.5", json!({"stream": true})).await.events().await;
    gateway.lines("response", 1).await;
    check_by_promtool(&scrape(&gateway).await);
}

#[tokio::test]
async fn a_models_name_may_hold_anything() {
    let name = "qu\"ote\\back\nline";
    let mut models = NamedTempFile::new().unwrap();
    let row = json!([{"name": name, "zai_web": "odd", "created": 1, "thinking": "never"}]);
    write!(models, "{row}").unwrap();
    let variables = [("MODELS_FILE", models.path().to_str().unwrap())];
    let gateway = Gateway::with(Dialect::OpenAi, fine(), &variables).await;
    gateway.chat(name, json!({})).await.text().await;
    gateway.lines("response", 1).await;
    let scrape = scrape(&gateway).await;
    let escaped = r#"z2api_time_to_first_token_seconds_count{model="qu\"ote\\back\nline"}"#;
    check(&scrape, &[(escaped, 1.0)]);
    check_by_promtool(&scrape);
}

/// Prometheus' own judgement, where promtool is to be had.
fn check_by_promtool(scrape: &str) {
    let promtool = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("a shell");
    let text = older_form(scrape);
    // Where there is no promtool nobody reads it.
    let _ = promtool.stdin.take().unwrap().write_all(text.as_bytes());
    let output = promtool.wait_with_output().unwrap();
    if output.status.code() == Some(127) {
        // Not with .ci/run, which ends where there is none.
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// OpenMetrics in the form before it, which promtool reads: there the comments about a counter bear the
/// name of its samples.
fn older_form(scrape: &str) -> String {
    let counters: Vec<&str> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let of_counter = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (kind, name, rest) = (words.nth(1)?, words.next()?, words.next()?);
        counters.contains(&name).then(|| format!("# {kind} {name}_total {rest}"))
    };
    let kept = scrape.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT"));
    let lines = kept.map(|line| match line.starts_with("# ") {
        true => of_counter(line).unwrap_or_else(|| line.to_owned()),
        false => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[tokio::test]
async fn each_answer_tells_where_its_time_went() {
    let gateway = Gateway::start(Dialect::OpenAi, fine()).await;
    let names = |timing: &str| -> Vec<String> {
        let one = |part: &str| part.split(';').next().unwrap().trim().to_owned();
        timing.split(',').map(one).collect()
    };
    let streamed = ["body", "queue", "upstream", "gateway"];
    let whole = ["body", "queue", "upstream", "answer", "gateway"];
    for (stream, expected) in [(true, &streamed[..]), (false, &whole[..])] {
        let reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
        let timing = reply.header("server-timing").expect("the header");
        assert_eq!(names(timing), expected, "{timing}");
        assert!(timing.split(',').all(|part| {
            part.split_once(";dur=").is_some_and(|(_, took)| took.parse::<f64>().is_ok())
        }));
    }
    for path in ["/health", "/nothing"] {
        let reply = gateway.get(path).await;
        assert_eq!(names(reply.header("server-timing").expect("the header")), ["gateway"]);
    }
    let took = |timing: &str, name: &str| -> f64 {
        let after = timing.split(&format!("{name};dur=")).nth(1).expect(name);
        after.split(',').next().unwrap().parse().unwrap()
    };
    gateway.sim.set_plan(fine().pace(Duration::from_secs(1)));
    let reply = gateway.chat("GLM-4.5", json!({"stream": false})).await;
    let timing = reply.header("server-timing").expect("the header");
    assert!(took(timing, "answer") > 900.0, "the model's time is not the gateway's: {timing}");
    // So is that of an answer that is not all there in time.
    for limit in ["REQUEST_TIMEOUT", "MAX_CONNECTION_TIME"] {
        let stuck = fine().stall_after(1);
        let gateway = Gateway::with(Dialect::OpenAi, stuck, &[(limit, "1000")]).await;
        let reply = gateway.chat("GLM-4.5", json!({"stream": false})).await;
        let timing = reply.header("server-timing").expect("the header");
        let of_upstream = took(timing, "upstream") + took(timing, "answer");
        assert!(reply.status == 504 && of_upstream > 900.0, "{limit}: {timing}");
    }
    let slow = fine().head_after(PATIENCE);
    let beats = [("CONNECTION_CHECK_INTERVAL", "1")];
    let gateway = Gateway::with(Dialect::OpenAi, slow, &beats).await;
    let reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    let timing = reply.header("server-timing").expect("the header");
    assert!(took(timing, "upstream") > 900.0, "its time so far: {timing}");
}

/// The names of metrics in a text, without what Prometheus appends.
fn names(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("z2api_") || word.starts_with("process_"));
    let ends = ["_total", "_bucket", "_count", "_sum"];
    let base = |name: &str| {
        let end = ends.iter().find_map(|end| name.strip_suffix(end));
        end.unwrap_or(name).to_owned()
    };
    metrics.map(base).collect()
}

/// Whether the gateway has a metric. A scrape has only those that have been used, so the place where
/// all are registered is looked at.
fn is_registered(name: &str) -> bool {
    let (source, name) = match name.strip_prefix("process_") {
        Some(name) => (include_str!("../crates/observability/src/process.rs"), name),
        None => (
            include_str!("../crates/observability/src/metrics/mod.rs"),
            name.strip_prefix("z2api_").unwrap_or(name),
        ),
    };
    let bare = name.strip_suffix("_seconds").or(name.strip_suffix("_bytes")).unwrap_or(name);
    source.contains(&format!("\"{bare}\","))
}

/// The names of all metrics, without prefix and unit, from the places where they are registered.
fn registered() -> Vec<&'static str> {
    let ours = include_str!("../crates/observability/src/metrics/mod.rs");
    let process = include_str!("../crates/observability/src/process.rs");
    let by = |source: &'static str, call: &'static str| {
        let calls =
            source.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        calls.filter_map(|rest| rest.split('"').next())
    };
    let of_us = by(ours, "all.register(").chain(by(ours, "all.register_with_unit("));
    of_us.chain(by(process, "add(all,")).collect()
}

/// A file of what Prometheus and Grafana are given.
fn observability(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/observability");
    std::fs::read_to_string(format!("{folder}/{file}")).expect(file)
}

#[test]
fn the_dashboard_shows_every_metric_but_these() {
    // `uptime` and `resident_memory` of the gateway itself are shown; virtual memory means nothing.
    let left_out = ["start_time", "virtual_memory"];
    let dashboard = observability("grafana/z2api.json");
    let shown = names(&dashboard);
    let is_shown = |name: &str| {
        let full = ["z2api", "process"].map(|prefix| format!("{prefix}_{name}"));
        let mut forms = full
            .iter()
            .flat_map(|one| ["", "_seconds", "_bytes"].map(|unit| format!("{one}{unit}")));
        forms.any(|form| shown.contains(&form))
    };
    let registered = registered();
    assert!(registered.len() > 40, "{registered:?}");
    let hidden: Vec<_> = registered.into_iter().filter(|name| !is_shown(name)).collect();
    assert_eq!(hidden, left_out);
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    for file in ["alerts.yml", "alerts.test.yml", "grafana/z2api.json"] {
        let named = names(&observability(file));
        assert!(named.len() > 5, "{file}");
        for name in named {
            assert!(is_registered(&name), "{name} of {file}");
        }
    }
    assert!(!is_registered("z2api_nothing"));
}
