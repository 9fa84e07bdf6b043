//! Whose key it was is told of a refused request too, as soon as the key is known to be good.

use std::io::Write;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use z2api_config::keygen;
use z2api_tests::web::{fine, stuck};
use z2api_tests::{Gateway, Level, Reply};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const CHAT: &str = "/v1/chat/completions";

/// A gateway that knows one key, and how that is shown.
struct Known {
    gateway: Gateway,
    key: String,
    shown: String,
    _file: NamedTempFile,
}

impl Known {
    /// The key may do so much.
    async fn with(
        plan: Script,
        limits: &str,
        variables: &[(&str, &str)],
        memory: Option<&Level>,
    ) -> Self {
        let (key, line) = keygen("ann").expect("a key");
        let mut file = NamedTempFile::new().expect("a file");
        writeln!(file, "{line} {limits}").expect("a line");
        let mut all = vec![("API_KEYS_FILE", file.path().to_str().expect("a path"))];
        all.extend(variables);
        let source = memory.map(Level::source);
        let gateway = Gateway::with_memory(Dialect::ZaiWeb, plan, &all, source).await;
        let key = key.expose().to_owned();
        let shown = format!("{}****{}", &key[..4], &key[key.len() - 4..]);
        Self { gateway, key, shown, _file: file }
    }

    async fn new(limits: &str, variables: &[(&str, &str)]) -> Self {
        Self::with(fine(), limits, variables, None).await
    }

    async fn send(&self, path: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("x-request-id", "it")];
        self.gateway.send("POST", path, &headers, body.as_bytes()).await
    }

    /// The request is refused so, and both its lines show the key.
    async fn check(&self, reply: Reply, status: u16) {
        assert_eq!(reply.status, status);
        reply.text().await;
        let told = json!([status, self.shown, "ann"]);
        let into = self.line("request").await;
        assert_eq!(json!([status, into["api_key"], into["key_name"]]), told, "{into}");
        let out = self.line("response").await;
        assert_eq!(json!([out["status_code"], out["api_key"], out["key_name"]]), told, "{out}");
    }

    async fn line(&self, kind: &str) -> Value {
        let is_it = |line: &&Value| line["request_id"] == "it";
        for count in 1.. {
            let lines = self.gateway.lines(kind, count).await;
            if let Some(line) = lines.iter().find(is_it) {
                return line.clone();
            }
        }
        unreachable!("the log waits for a line")
    }
}

fn question(model: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "x"}]);
    json!({"model": model, "stream": stream, "max_tokens": 5, "messages": messages}).to_string()
}

#[tokio::test]
async fn of_a_request_that_makes_no_sense() {
    for (path, body, status) in [
        (CHAT, "{".to_owned(), 400),
        (CHAT, question("no-such-model", false), 404),
        (CHAT, question("GLM-4.6", false), 404),
        (CHAT, "x".repeat(2 * 1024 * 1024), 413),
        ("/v1/completions", "{}".to_owned(), 400),
        ("/v1/responses", "{".to_owned(), 400),
        ("/v1/messages", "{".to_owned(), 400),
        ("/v1/messages/count_tokens", "{".to_owned(), 400),
        ("/v1/messages/count_tokens", question("no-such-model", false), 404),
    ] {
        let known = Known::new("models=GLM-4.5", &[("MAX_BODY_MB", "1")]).await;
        let reply = known.send(path, &body).await;
        known.check(reply, status).await;
    }
}

#[tokio::test]
async fn of_one_over_the_keys_own_rate() {
    let known = Known::new("per_minute=1", &[]).await;
    let bearer = format!("Bearer {}", known.key);
    let first = [("authorization", bearer.as_str())];
    known.gateway.send("POST", CHAT, &first, question("GLM-4.5", false).as_bytes()).await;
    let reply = known.send(CHAT, &question("GLM-4.5", false)).await;
    known.check(reply, 429).await;
}

#[tokio::test]
async fn of_one_for_which_there_is_no_room() {
    let full = [("MAX_CONCURRENT_CONNECTIONS", "1"), ("CONNECTION_QUEUE_SIZE", "0")];
    let known = Known::with(stuck(), "", &full, None).await;
    let bearer = format!("Bearer {}", known.key);
    let first = [("authorization", bearer.as_str())];
    let _held =
        known.gateway.send("POST", CHAT, &first, question("GLM-4.5", true).as_bytes()).await;
    let reply = known.send(CHAT, &question("GLM-4.5", false)).await;
    known.check(reply, 503).await;

    let level = Level::default();
    level.set(90);
    let limit = [("MEMORY_LIMIT_MB", "100")];
    let known = Known::with(fine(), "", &limit, Some(&level)).await;
    known.gateway.until(|gateway| !gateway.is_ready()).await;
    let reply = known.send(CHAT, &question("GLM-4.5", false)).await;
    known.check(reply, 503).await;
}

#[tokio::test]
async fn of_one_that_the_upstream_refuses() {
    let down = Script::status(400, "application/json", "{}");
    let known = Known::with(down, "", &[], None).await;
    let reply = known.send(CHAT, &question("GLM-4.5", false)).await;
    known.check(reply, 400).await;
}

#[tokio::test]
async fn whoever_asks_no_model_is_told_too() {
    for (method, path, status) in [
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/GLM-4.5", 200),
        ("GET", "/v1/models/none", 404),
        ("GET", "/v1/responses/none", 404),
        ("DELETE", "/v1/responses/none", 404),
    ] {
        let known = Known::new("", &[]).await;
        let bearer = format!("Bearer {}", known.key);
        let headers = [("authorization", bearer.as_str()), ("x-request-id", "it")];
        let reply = known.gateway.send(method, path, &headers, b"").await;
        known.check(reply, status).await;
    }
}

#[tokio::test]
async fn of_a_wrong_key_nothing_is_told() {
    let known = Known::new("", &[]).await;
    for (path, headers) in [
        (CHAT, &[][..]),
        (CHAT, &[("authorization", "Bearer sk-wrong-0123456789abcdef")]),
        (CHAT, &[("authorization", "Basic sk-wrong-0123456789abcdef")]),
        ("/v1/messages", &[("x-api-key", "sk-wrong-0123456789abcdef")]),
        ("/v1/messages/count_tokens", &[("x-api-key", "sk-wrong-0123456789abcdef")]),
    ] {
        let reply = known.gateway.send("POST", path, headers, b"{}").await;
        assert_eq!(reply.status, 401, "{path}");
    }
    for line in known.gateway.lines("response", 5).await {
        let shown = [line.get("api_key"), line.get("key_name")];
        assert_eq!(shown, [None, None], "{line}");
    }
    for line in known.gateway.lines("request", 5).await {
        assert_eq!((&line["api_key"], line.get("key_name")), (&json!("****"), None), "{line}");
    }
    let all = known.gateway.log.lines().concat();
    assert!(!all.contains("wrong-") && !all.contains("cdef"), "{all}");
}
