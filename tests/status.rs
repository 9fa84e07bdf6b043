//! What the gateway tells of its state: for people, for probes, for balancers.

use serde_json::{Value, json};
use z2api_tests::{Gateway, PATIENCE};
use z2api_upstream_sim::{Guests, Script, faults};
use z2api_wire::event::Dialect;

fn fine() -> Script {
    Script::events([
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"tide "}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
}

fn refused() -> Script {
    let body = r#"{"error":{"code":"1002","message":"the upstream's own words"}}"#;
    Script::status(401, "application/json", body)
}

async fn api(script: Script, variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(Dialect::OpenAi, script, variables).await
}

#[tokio::test]
async fn the_first_fields_of_the_status_are_the_old_ones() {
    let gateway = api(fine(), &[]).await;
    let text = gateway.get("/status").await.text().await;
    let names = [
        "current_connections",
        "max_connections",
        "memory_usage_mb",
        "memory_limit_mb",
        "total_requests",
        "error_count",
        "uptime_seconds",
        // And then what this gateway adds.
        "queued",
        "tokens",
        "models",
        "current_limit",
        "memory_state",
        "breaker",
    ];
    let places: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert!(text.starts_with("{\"current_connections\""), "{text}");
}

#[tokio::test]
async fn the_status_has_the_models_and_their_limits() {
    let gateway = api(fine().stall_after(1), &[]).await;
    let status = gateway.get("/status").await.json().await;
    assert_eq!((&status["dialect"], &status["ready"]), (&json!("openai"), &json!(true)));
    assert_eq!(status["breaker"], json!({"state": "closed"}));
    let models = status["models"].as_array().unwrap();
    let thinking = models.iter().find(|model| model["name"] == "GLM-4.5-Thinking").unwrap();
    assert_eq!((&thinking["thinking"], &thinking["search"]), (&json!(true), &json!(false)));
    let token = &status["tokens"][0];
    assert_eq!((&token["state"], &token["guest"]), (&json!("ok"), &json!(false)));
}

#[tokio::test]
async fn a_gateway_whose_only_token_is_refused_is_not_ready_and_says_why() {
    let gateway = api(refused(), &[]).await;
    assert_eq!(gateway.get("/health/ready").await.json().await, json!({"status": "ready"}));
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    let ready = gateway.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    let why = json!({"status": "not ready", "reason": "no_usable_token"});
    assert_eq!(ready.json().await, why);
    let line = gateway.lines("response", 3).await.remove(2);
    let told = json!([line["level"], line["error_kind"], line["error_owner"], line["error"]]);
    let reason = "the gateway is not ready: no_usable_token";
    assert_eq!(told, json!(["WARN", "not_ready", "gateway", reason]), "no error, but why");
    assert_eq!(gateway.get("/health/live").await.status, 200);
    let status = gateway.get("/status").await.text().await;
    assert!(!status.contains("own words") && !status.contains("upstream-token"), "{status}");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["tokens"][0]["state"], "dead");
    assert!(status["tokens"][0]["reason"].is_string(), "{status}");
    assert_eq!(status["not_ready"], "no_usable_token");
}

#[tokio::test]
async fn one_good_token_is_enough_to_be_ready() {
    let plan = z2api_upstream_sim::plan_fn(|asked| {
        match asked.header("authorization") == Some("Bearer good-token-0123456789") {
            true => fine(),
            false => refused(),
        }
    });
    let tokens = [("UPSTREAM_TOKEN", "bad-token-0123456789,good-token-0123456789")];
    let gateway = Gateway::with(Dialect::OpenAi, plan, &tokens).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    assert_eq!(gateway.get("/health/ready").await.status, 200);
    let status = gateway.get("/status").await.json().await;
    let states = [&status["tokens"][0]["state"], &status["tokens"][1]["state"]];
    assert_eq!(states, [&json!("dead"), &json!("ok")]);
}

#[tokio::test]
async fn a_gateway_without_tokens_is_ready_before_it_has_fetched_a_guest() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    assert_eq!((gateway.get("/health/ready").await.status, gateway.sim.guest_requests()), (200, 0));
}

#[tokio::test]
async fn a_gateway_that_gets_no_guest_is_not_ready_and_recovers_without_a_request() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("MAX_RETRIES", "0")]).await;
    gateway.sim.guests(Guests::Status(500));
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    let ready = gateway.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    let why = json!({"status": "not ready", "reason": "no_usable_token"});
    assert_eq!(ready.json().await, why);
    let status = gateway.get("/status").await.json().await;
    let token = &status["tokens"][0];
    assert_eq!((&token["guest"], &token["state"]), (&json!(true), &json!("cooling")));
    assert!(token["reason"].is_string() && status["ready"] == false, "{status}");
    let metrics = gateway.get("/metrics").await.text().await;
    for line in ["z2api_ready 0\n", "z2api_upstream_tokens{state=\"cooling\"} 1\n"] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    gateway.sim.guests(Guests::Fine);
    let recovers = async { while gateway.get("/health/ready").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, recovers).await.expect("it looks again");
    assert_eq!(gateway.sim.chat_requests(), 0);
    let status = gateway.get("/status").await.json().await;
    assert_eq!(status["tokens"][0]["state"], "ok");
}

#[tokio::test]
async fn a_gateway_whose_guests_are_refused_is_not_ready_and_says_why() {
    let refusal = faults::detail(401, "the upstream's own words");
    let gateway = Gateway::start(Dialect::ZaiWeb, refusal).await;
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    assert_eq!(gateway.get("/health/ready").await.status, 503);
    let status = gateway.get("/status").await.text().await;
    assert!(!status.contains("own words"), "{status}");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["tokens"][0]["state"], "dead");
    assert!(status["tokens"][0]["reason"].is_string(), "{status}");
    // A request that comes all the same is tried.
    gateway.sim.set_plan(z2api_tests::web::fine());
    assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 200);
    assert_eq!(gateway.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_is_left_alone_shows_in_the_status() {
    let down = Script::status(503, "text/html", "<html>down</html>");
    let gateway = api(down, &[("MAX_RETRIES", "0")]).await;
    for _ in 0..5 {
        assert_eq!(gateway.chat("GLM-4.5", json!({})).await.status, 502);
    }
    let breaker = gateway.get("/status").await.json().await["breaker"].clone();
    assert!(breaker["state"] == "open" || breaker["state"] == "probing", "{breaker}");
    assert!(breaker["reason"].is_string(), "{breaker}");
}
