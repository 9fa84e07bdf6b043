//! The live page: what guards it, who sees its numbers, and that watching costs little.

use std::time::Duration;

use serde_json::{Value, json};
use z2api_tests::{Gateway, KEY, PATIENCE, Raw, Reply, answers};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const EVENTS: &str = "/dashboard/events";
const ADMIN: &str = "an-admin-key-0001";
const TOKEN: &str = "upstream-token-0001";
const FILES: [&str; 17] = [
    "/dashboard",
    "/dashboard/style.css",
    "/dashboard/icon.svg",
    "/dashboard/early.js",
    "/dashboard/main.js",
    "/dashboard/words.js",
    "/dashboard/say.js",
    "/dashboard/sse.js",
    "/dashboard/keys.js",
    "/dashboard/history.js",
    "/dashboard/chart.js",
    "/dashboard/charts.js",
    "/dashboard/tables.js",
    "/dashboard/raw.js",
    "/dashboard/growing.js",
    "/dashboard/answer.js",
    "/dashboard/chat.js",
];

fn fine() -> Script {
    Script::events([
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"the-answer-itself"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
        "[DONE]",
    ])
}

async fn gateway(variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::OpenAi, fine(), variables).await
}

async fn watch(gateway: &Gateway, key: Option<&str>) -> Reply {
    let bearer = format!("Bearer {}", key.unwrap_or_default());
    let headers = [("authorization", bearer.as_str())];
    gateway.send("GET", EVENTS, if key.is_some() { &headers } else { &[] }, b"").await
}

async fn snapshot(watcher: &mut Reply) -> Value {
    let event = tokio::time::timeout(PATIENCE, watcher.event()).await.expect("in time");
    serde_json::from_str(&event.expect("an event")).expect("JSON")
}

/// The stream comes to its proper end.
async fn ends(watcher: Reply) {
    tokio::time::timeout(PATIENCE, watcher.text()).await.expect("an end in time");
}

#[tokio::test]
async fn every_file_of_the_page_is_guarded() {
    let gateway = gateway(&[]).await;
    for path in FILES {
        let reply = gateway.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|known| known == rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        let kind = match path.rsplit_once('.') {
            None => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(_) => "text/javascript; charset=utf-8",
        };
        assert_eq!(reply.header("content-type"), Some(kind), "{path}");
        assert!(!reply.text().await.is_empty());
    }
}

#[tokio::test]
async fn a_file_that_a_browser_has_is_not_sent_again() {
    let gateway = gateway(&[]).await;
    let mut tags = Vec::new();
    for path in FILES {
        let tag = gateway.get(path).await.header("etag").unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let same = gateway.send("GET", path, &[("if-none-match", &known)], b"").await;
            assert_eq!((same.status, same.header("etag")), (304, Some(tag.as_str())), "{path}");
            assert_eq!(same.header("cache-control"), Some("no-cache"));
            assert!(same.header("content-security-policy").is_some());
            assert_eq!(same.text().await, "");
        }
        let other = gateway.send("GET", path, &[("if-none-match", "\"other\"")], b"").await;
        assert_eq!(other.status, 200, "{path}");
        tags.push(tag);
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), FILES.len(), "each has its own");
}

#[tokio::test]
async fn the_page_has_no_script_of_its_own_and_asks_no_one_else() {
    let gateway = gateway(&[]).await;
    for path in FILES {
        let text = gateway.get(path).await.text().await;
        let name = |url: &str| url.starts_with("http://www.w3.org/2000/svg");
        let outside = text.match_indices("http").map(|(at, _)| &text[at..]);
        let outside: Vec<_> = outside
            .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
            .collect();
        assert!(outside.iter().all(|url| name(url)), "{path}: {outside:?}");
        for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(bad), "{bad} in {path}");
        }
    }
    let page = gateway.get("/dashboard").await.text().await;
    for bad in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(page.split("<script").skip(1).all(|rest| rest.contains("></script>")));
    assert!(page.matches("<script").count() == page.matches("></script>").count());
}

#[tokio::test]
async fn the_page_is_read_and_nothing_else() {
    let gateway = gateway(&[]).await;
    for path in ["/dashboard", "/dashboard/main.js", EVENTS] {
        let head = gateway.send("HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.text().await.as_str()), (200, ""), "{path}");
        let posted = gateway.send("POST", path, &[], b"").await;
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
    let slashed = gateway.get("/dashboard/").await;
    assert_eq!((slashed.status, slashed.header("location")), (308, Some("../dashboard")));
    for path in ["/dashboard/none.js", "/dashboardx", "/dashboard/../Cargo.toml"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_snapshot_a_second_tells_what_ended_since_the_last() {
    let gateway = gateway(&[]).await;
    gateway.chat("GLM-4.5", json!({})).await.text().await;
    gateway.lines("response", 1).await;
    let mut watcher = watch(&gateway, None).await;
    assert_eq!(watcher.header("content-type"), Some("text/event-stream"));
    assert_eq!(watcher.header("cache-control"), Some("no-cache, no-transform"));
    assert!(watcher.header("content-security-policy").is_some());

    let first = snapshot(&mut watcher).await;
    assert_eq!(first["status"]["total_requests"], 1);
    assert_eq!(first["status"]["tokens"][0]["state"], "ok");
    assert!(first["status"]["models"].as_array().unwrap().len() > 10);
    assert_eq!(first["totals"]["completion_tokens"], 4);
    let ended = &first["finished"][0];
    assert_eq!((&ended["model"], &ended["status"]), (&json!("GLM-4.5"), &json!(200)));
    assert_eq!((&ended["prompt_tokens"], &ended["owner"]), (&json!(3), &json!("none")));

    gateway.chat("no-such-model", json!({})).await.text().await;
    gateway.lines("response", 2).await;
    let mut told = Vec::new();
    while told.is_empty() {
        let next = snapshot(&mut watcher).await;
        assert!(next["now_ms"].as_u64() > first["now_ms"].as_u64());
        told = next["finished"].as_array().unwrap().clone();
    }
    assert_eq!(told.len(), 1, "the first is not told again");
    assert_eq!((&told[0]["status"], &told[0]["owner"]), (&json!(404), &json!("client")));
}

#[tokio::test]
async fn the_numbers_hold_no_secret() {
    let gateway = gateway(&[("ADMIN_KEY", ADMIN)]).await;
    let question = "the-question-itself";
    for (model, stream) in [("GLM-4.5", true), ("GLM-4.5", false), ("a-clients-invention", false)] {
        let messages = json!([{"role": "user", "content": question}]);
        let body = json!({"model": model, "stream": stream, "messages": messages});
        gateway.post(&body).await.text().await;
    }
    gateway.lines("response", 3).await;
    let mut watcher = watch(&gateway, Some(ADMIN)).await;
    let told = snapshot(&mut watcher).await;
    assert_eq!(told["finished"].as_array().unwrap().len(), 3);
    let told = told.to_string();
    for secret in [KEY, ADMIN, TOKEN, question, "the-answer-itself", "a-clients-invention"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn the_numbers_ask_for_the_admin_key_and_the_page_does_not() {
    let gateway = gateway(&[("ADMIN_KEY", ADMIN)]).await;
    assert_eq!(gateway.get("/dashboard").await.status, 200);
    for key in [None, Some(KEY), Some("")] {
        let refused = watch(&gateway, key).await;
        assert_eq!(refused.status, 401, "{key:?}");
        assert_eq!(refused.json().await["error"]["code"], "invalid_api_key");
    }
    assert_eq!(gateway.get(&format!("{EVENTS}?key={ADMIN}")).await.status, 401, "not in a URL");
    let mut watcher = watch(&gateway, Some(ADMIN)).await;
    snapshot(&mut watcher).await;
    gateway.reload(&[("ADMIN_KEY", "another-admin-key")]);
    ends(watcher).await;
}

#[tokio::test]
async fn enable_dashboard_serves_it_or_not() {
    let gateway = gateway(&[("ENABLE_DASHBOARD", "true")]).await;
    let mut watcher = watch(&gateway, None).await;
    snapshot(&mut watcher).await;
    gateway.reload(&[("ENABLE_DASHBOARD", "false")]);
    ends(watcher).await;
    for path in FILES.iter().chain(&[EVENTS, "/dashboard/"]) {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn no_more_than_sixteen_watch_and_one_who_leaves_makes_room() {
    let gateway = gateway(&[]).await;
    let mut watchers = Vec::new();
    for _ in 0..16 {
        let mut watcher = watch(&gateway, None).await;
        snapshot(&mut watcher).await;
        watchers.push(watcher);
    }
    let refused = watch(&gateway, None).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.json().await["error"]["code"], "too_many_watchers");
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200, "watchers hold no slot");
    watchers.pop();
    let room = async {
        while watch(&gateway, None).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("room");
}

#[tokio::test]
async fn watching_is_one_line_of_the_log_and_no_failure() {
    let gateway = gateway(&[]).await;
    let mut watcher = watch(&gateway, None).await;
    snapshot(&mut watcher).await;
    drop(watcher);
    let line = &gateway.lines("response", 1).await[0];
    assert_eq!((&line["endpoint"], &line["status_code"]), (&json!(EVENTS), &json!(200)));
    assert!(line["bytes_sent"].as_u64().unwrap() > 100 && line.get("error").is_none(), "{line}");
    let metrics = gateway.get("/metrics").await.text().await;
    assert!(!metrics.contains("client_hung_up"), "{metrics}");
}

#[tokio::test]
async fn watching_ends_with_the_drain() {
    let gateway = gateway(&[]).await;
    let mut watcher = watch(&gateway, None).await;
    snapshot(&mut watcher).await;
    gateway.stop();
    ends(watcher).await;
    gateway.stopped().await;
}

#[tokio::test]
async fn who_watches_sees_the_gateway_stop() {
    let gateway = gateway(&[("SHUTDOWN_DELAY", "3")]).await;
    let mut watcher = watch(&gateway, None).await;
    assert_eq!(snapshot(&mut watcher).await["status"]["not_ready"], Value::Null);
    gateway.stop();
    while snapshot(&mut watcher).await["status"]["not_ready"] != "stopping" {}
    ends(watcher).await;
}

#[tokio::test]
async fn a_page_that_opens_is_told_the_last_minutes() {
    let gateway = gateway(&[]).await;
    gateway.chat("GLM-4.5", json!({})).await.text().await;
    gateway.chat("no-such-model", json!({})).await.text().await;
    gateway.lines("response", 2).await;
    let told = async {
        loop {
            let mut watcher = watch(&gateway, None).await;
            let first = snapshot(&mut watcher).await;
            let rows = first["past"].as_array().cloned().unwrap_or_default();
            if rows.last().is_some_and(|row| row[1][3] == 2) {
                break (watcher, first, rows);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (mut watcher, first, rows) = tokio::time::timeout(PATIENCE, told).await.expect("a past");
    let ages = rows.iter().map(|row| first["now_ms"].as_u64().unwrap() - row[0].as_u64().unwrap());
    assert!(ages.collect::<Vec<_>>().is_sorted_by(|older, newer| older > newer), "{rows:?}");
    let [in_flight, queued, memory, begun, failed, events] =
        &rows.last().unwrap()[1].as_array().unwrap()[..]
    else {
        panic!("{rows:?}")
    };
    assert_eq!((in_flight, queued, begun), (&json!(0), &json!(0), &json!(2)));
    assert!(memory.as_u64().unwrap() > 1_000_000 && events.as_u64().unwrap() > 0);
    assert_eq!(failed, &json!([1, 0, 0]), "by the client, the gateway, the upstream");
    assert!(snapshot(&mut watcher).await.get("past").is_none(), "once is enough");
}

#[tokio::test]
async fn a_page_that_opens_is_told_of_more_answers_than_there_are_rows() {
    let gateway = gateway(&[]).await;
    for known in [70, 140] {
        for _ in 0..70 {
            gateway.chat("GLM-4.5", json!({})).await.text().await;
        }
        let told = async {
            loop {
                let first = snapshot(&mut watch(&gateway, None).await).await;
                if first["paces"].as_array().is_some_and(|paces| paces.len() == known) {
                    break first;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let first = tokio::time::timeout(PATIENCE, told).await.expect("all of them");
        let numbers: Vec<_> = first["paces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pace| pace[0].as_u64().unwrap())
            .collect();
        assert!(numbers.is_sorted_by(|older, newer| older < newer), "{numbers:?}");
        assert!(first["paces"][0][2].is_u64(), "{}", first["paces"][0]);
    }
}

#[tokio::test]
async fn the_pieces_of_an_answer_are_counted_while_it_comes() {
    for stream in [true, false] {
        let gateway = Gateway::with(Dialect::OpenAi, fine().stall_after(1), &[]).await;
        let body = json!({"stream": stream});
        let asking = async {
            let mut reply = gateway.chat("GLM-4.5", body).await;
            while reply.event().await.is_some() {}
        };
        let counted = async {
            let mut watcher = watch(&gateway, None).await;
            while snapshot(&mut watcher).await["numbers"][5] != 1 {}
            assert_eq!(gateway.in_flight(), 1);
        };
        tokio::select! {
            () = asking => panic!("it has not ended"),
            counted = tokio::time::timeout(PATIENCE, counted) => counted.expect("it is counted"),
        }
    }
}

#[tokio::test]
async fn the_operators_numbers_are_not_for_pages_of_other_origins() {
    let evil = [("origin", "https://evil.example")];
    let apart = gateway(&[]).await;
    for path in ["/status", "/metrics", EVENTS] {
        let refused = apart.send("GET", path, &evil, b"").await;
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.json().await["error"]["code"], "other_origin");
    }
    let own = format!("http://{}", apart.address);
    let same = apart.send("GET", "/status", &[("origin", own.as_str())], b"").await;
    assert_eq!(same.status, 200, "its own page may");
    let health = apart.send("GET", "/health", &evil, b"").await;
    assert_eq!((health.status, health.header("access-control-allow-origin")), (200, Some("*")));

    let listed = gateway(&[("CORS_ALLOW_ORIGINS", "https://evil.example")]).await;
    assert_eq!(listed.send("GET", "/status", &evil, b"").await.status, 200, "it is named");
    let other = [("origin", "https://other.example")];
    assert_eq!(listed.send("GET", "/status", &other, b"").await.status, 403);

    let guarded = gateway(&[("ADMIN_KEY", ADMIN)]).await;
    let bearer = format!("Bearer {ADMIN}");
    let with_key = [evil[0], ("authorization", bearer.as_str())];
    assert_eq!(guarded.send("GET", "/status", &with_key, b"").await.status, 200, "it has the key");
}

/// What a browser asks by a name that a page has pointed at this machine, and what others ask by it.
#[tokio::test]
async fn the_operators_numbers_are_not_for_pages_that_point_their_name_here() {
    const BROWSER: &str = "user-agent: Mozilla/5.0\r\naccept-language: en\r\n";
    let ask = async |gateway: &Gateway, path: &str, host: &str, more: &str| {
        let mut peer = Raw::connect(gateway.address).await;
        let close = "connection: close";
        peer.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}{close}\r\n\r\n")).await;
        answers(&peer.to_the_end().await)[0].status
    };
    let open = gateway(&[]).await;
    for path in ["/status", "/metrics"] {
        assert_eq!(ask(&open, path, "evil.example:8080", BROWSER).await, 403, "{path}");
        for own in ["127.0.0.1:8080", "localhost:8080", "[::1]", "z2api:8080", "box.local"] {
            assert_eq!(ask(&open, path, own, BROWSER).await, 200, "{own}");
        }
        let scraper = "user-agent: Prometheus/3.5.0\r\n";
        assert_eq!(ask(&open, path, "gateway.example", scraper).await, 200, "no browser");
        let by_tls = format!("{BROWSER}sec-fetch-site: same-origin\r\n");
        assert_eq!(ask(&open, path, "gateway.example", &by_tls).await, 200, "a proxy with TLS");
    }
    assert_eq!(ask(&open, EVENTS, "evil.example", BROWSER).await, 403);
    assert_eq!(ask(&open, "/health", "evil.example", BROWSER).await, 200);

    let listed = gateway(&[("CORS_ALLOW_ORIGINS", "http://gateway.example:8080")]).await;
    assert_eq!(ask(&listed, "/status", "gateway.example:8080", BROWSER).await, 200);
    assert_eq!(ask(&listed, "/status", "evil.example:8080", BROWSER).await, 403);
    let behind = gateway(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    assert_eq!(ask(&behind, "/status", "gateway.example", BROWSER).await, 200);
    let guarded = gateway(&[("ADMIN_KEY", ADMIN)]).await;
    let with_key = format!("{BROWSER}authorization: Bearer {ADMIN}\r\n");
    assert_eq!(ask(&guarded, "/status", "gateway.example", &with_key).await, 200);
}
