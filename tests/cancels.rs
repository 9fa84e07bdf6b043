//! The upstream's answers that the gateway lets go of before their end, by whose doing it was.

use serde_json::{Value, json};
use z2api_tests::web::{END, PIECE, endless, fine, stuck};
use z2api_tests::{Gateway, LONG, Level};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

/// Its first words are longer than any answer that is put together may be.
fn beyond_all() -> Script {
    let text = "x".repeat(1 << 20);
    let event =
        json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}});
    Script::events([event.to_string()]).endless()
}

async fn gateway(plan: Script, variables: &[(&str, &str)]) -> Gateway {
    // Its scrapes are no requests of these tests.
    let quiet = [("LOG_PROBES", "false")];
    Gateway::with(Dialect::ZaiWeb, plan, &[&quiet[..], variables].concat()).await
}

async fn ask(gateway: &Gateway, fields: Value) {
    gateway.chat("GLM-4.5", fields).await.text().await;
}

/// One request has ended, and this is how many answers of the upstream it cost before their end,
/// and by whose doing.
async fn check(gateway: &Gateway, what: &str, owner: Option<&str>) {
    let line = gateway.lines("response", 1).await.remove(0);
    let scrape = match gateway.admin {
        Some(_) => gateway.get_as_operator("/metrics", &[]).await.text().await,
        None => gateway.get("/metrics").await.text().await,
    };
    let cancels = scrape.lines().filter(|line| line.starts_with("z2api_upstream_cancels_total{"));
    let cancels: Vec<&str> = cancels.collect();
    let wanted: Vec<String> = owner
        .map(|owner| format!("z2api_upstream_cancels_total{{owner=\"{owner}\"}} 1"))
        .into_iter()
        .collect();
    assert_eq!(cancels, wanted, "{what}: {line}");
}

#[tokio::test]
async fn an_answer_that_comes_to_its_end_is_not_cancelled() {
    for (what, plan) in [
        ("whole", fine()),
        ("broken off", Script::events([PIECE]).cut_after(1)),
        ("reset", Script::events([PIECE]).reset_after(1)),
        (
            "an error within",
            Script::events([
                PIECE,
                r#"{"type":"chat:completion","data":{"error":{"code":"INTERNAL_ERROR","detail":"x"}}}"#,
            ]),
        ),
        ("refused", Script::status(503, "application/json", "{}")),
    ] {
        for stream in [true, false] {
            let gateway = gateway(plan.clone(), &[("MAX_RETRIES", "0")]).await;
            ask(&gateway, json!({"stream": stream})).await;
            check(&gateway, what, None).await;
        }
    }
}

/// The upstream does not know of it, and would go on.
#[tokio::test]
async fn a_stop_word_that_the_gateway_finds_is_its_own_doing() {
    for stream in [true, false] {
        let gateway = gateway(endless(), &[]).await;
        ask(&gateway, json!({"stream": stream, "stop": "tide tide"})).await;
        assert_eq!(gateway.lines("response", 1).await[0]["status_code"], 200);
        check(&gateway, "a stop word", Some("gateway")).await;
    }
}

#[tokio::test]
async fn a_stop_word_in_the_last_words_cancels_nothing() {
    let said = Script::events([PIECE, PIECE, END]).together();
    let gateway = gateway(said, &[]).await;
    ask(&gateway, json!({"stream": true, "stop": "tide tide"})).await;
    check(&gateway, "all was there", None).await;
}

#[tokio::test]
async fn an_upstream_that_takes_too_long_is_let_go_of_by_its_own_fault() {
    for (variable, stream) in
        [("REQUEST_TIMEOUT", false), ("STREAM_IDLE_TIMEOUT", true), ("STREAM_IDLE_TIMEOUT", false)]
    {
        let gateway = gateway(stuck(), &[(variable, LONG)]).await;
        gateway.out_of_time(1, ask(&gateway, json!({"stream": stream}))).await;
        check(&gateway, variable, Some("upstream")).await;
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_let_go_of_by_the_upstreams_fault() {
    let not_json = Script::events([PIECE, "not JSON"]).stall_after(2);
    for (what, plan) in [("not JSON", not_json), ("too large", beyond_all())] {
        let gateway = gateway(plan, &[]).await;
        ask(&gateway, json!({"stream": false})).await;
        assert_eq!(gateway.lines("response", 1).await[0]["status_code"], 502);
        check(&gateway, what, Some("upstream")).await;
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_the_upstreams_doing() {
    for variable in ["STREAM_TIMEOUT", "MAX_CONNECTION_TIME"] {
        for stream in [true, false] {
            let gateway = gateway(stuck(), &[(variable, LONG)]).await;
            gateway.out_of_time(1, ask(&gateway, json!({"stream": stream}))).await;
            check(&gateway, variable, Some("upstream")).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_answer() {
    for stream in [true, false] {
        let gateway = gateway(stuck(), &[]).await;
        let asked = async {
            let mut reply = gateway.chat("GLM-4.5", json!({"stream": stream})).await;
            reply.event().await;
            std::future::pending::<()>().await;
        };
        let answered = gateway.until(|gateway| gateway.sim.open_streams() == 1);
        tokio::select! {
            () = asked => {}
            () = answered => {}
        }
        check(&gateway, "a hang-up", Some("client")).await;
    }
}

/// The client that does not read holds up the end, so that there is somebody to ask.
#[tokio::test]
async fn a_stop_that_is_out_of_time_is_the_gateways_doing() {
    for stream in [true, false] {
        let apart = [("ADMIN_ADDR", "127.0.0.1:0"), ("SHUTDOWN_GRACE", "0")];
        let gateway = gateway(endless(), &apart).await;
        let _never = gateway.unread_stream().await;
        gateway.sim.set_plan(stuck());
        let asked = async {
            gateway.chat("GLM-4.5", json!({"stream": stream})).await.text().await;
        };
        tokio::join!(asked, async {
            gateway.until(|gateway| gateway.sim.open_streams() == 2).await;
            gateway.stop();
        });
        check(&gateway, "a stop", Some("gateway")).await;
    }
}

#[tokio::test]
async fn a_shortage_of_memory_is_the_gateways_doing() {
    for stream in [true, false] {
        let level = Level::default();
        let limit = [("MEMORY_LIMIT_MB", "100")];
        let source = Some(level.source());
        let gateway = Gateway::with_memory(Dialect::ZaiWeb, stuck(), &limit, source).await;
        let asked = async {
            gateway.chat("GLM-4.5", json!({"stream": stream})).await.text().await;
        };
        let shortage = async {
            gateway.until(|gateway| gateway.sim.open_streams() == 1).await;
            level.set(98);
        };
        tokio::join!(asked, shortage);
        check(&gateway, "no memory", Some("gateway")).await;
    }
}
