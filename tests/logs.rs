//! One line in and one line out for each request, whatever becomes of it.

use serde_json::{Value, json};
use z2api_tests::web::fine;
use z2api_tests::{Gateway, KEY, PATIENCE, Raw, chat_request, openai};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

#[tokio::test]
async fn each_request_has_one_line_in_and_one_out() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let body = json!({"model": "GLM-4.5", "stream": true, "temperature": 0.5, "max_tokens": 9,
        "messages": [{"role": "user", "content": "a-private-question"}]});
    let key = format!("Bearer {KEY}");
    let headers =
        [("authorization", key.as_str()), ("user-agent", "curl/9"), ("x-request-id", "one")];
    let reply =
        gateway.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await;
    reply.text().await;
    let out = gateway.lines("response", 1).await;
    let into = gateway.lines("request", 1).await;
    assert_eq!((into.len(), out.len()), (1, 1));
    let (into, out) = (&into[0], &out[0]);
    assert_eq!((&into["request_id"], &out["request_id"]), (&json!("one"), &json!("one")));
    assert_eq!((&into["level"], &into["client_ip"]), (&json!("INFO"), &json!("127.0.0.1")));
    assert_eq!((&into["model"], &into["user_agent"]), (&json!("GLM-4.5"), &json!("curl/9")));
    let parameters = json!({"message_count": 1,
        "parameters": {"stream": true, "temperature": 0.5, "max_tokens": 9}});
    assert_eq!(into["parameters"], parameters);
    assert_eq!(into["api_key"], "sk-t****cdef");
    assert_eq!((&out["status_code"], &out["retry_count"]), (&json!(200), &json!(0)));
    assert_eq!(
        (&out["endpoint"], &out["finish_reason"]),
        (&json!("/v1/chat/completions"), &json!("stop"))
    );
    assert!(out["response_time_ms"].is_u64() && out["time_to_first_byte_ms"].is_u64());
    let all = gateway.log.lines().join("\n");
    assert!(!all.contains(KEY) && !all.contains("a-private-question") && !all.contains("tide"));
}

#[tokio::test]
async fn a_refused_request_has_both_lines_too() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    gateway.send("POST", "/v1/chat/completions", &[], b"{}").await.text().await;
    gateway.get("/nothing").await.text().await;
    let out = gateway.lines("response", 2).await;
    let into = gateway.lines("request", 2).await;
    assert_eq!((into.len(), out.len()), (2, 2));
    assert_eq!(
        (&out[0]["status_code"], &out[0]["error"]),
        (&json!(401), &json!("invalid_api_key"))
    );
    assert_eq!((&out[1]["status_code"], &out[1]["endpoint"]), (&json!(404), &json!("/nothing")));
}

#[tokio::test]
async fn a_request_that_is_not_understood_still_says_who_sent_it() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("user-agent", "curl/9")];
    gateway.send("POST", "/v1/chat/completions", &headers, b"{").await.text().await;
    let headers = [("authorization", "Bearer sk-wrong-0123456789abcdef"), ("user-agent", "curl/9")];
    gateway.send("POST", "/v1/chat/completions", &headers, b"{}").await.text().await;
    gateway.lines("response", 2).await;
    let into = gateway.lines("request", 2).await;
    assert_eq!(
        (&into[0]["api_key"], &into[0]["user_agent"]),
        (&json!("sk-t****cdef"), &json!("curl/9"))
    );
    let stranger = (&into[1]["api_key"], &into[1]["user_agent"]);
    assert_eq!(stranger, (&json!("****"), &json!("curl/9")), "a wrong key is not logged");
}

#[tokio::test]
async fn a_client_that_goes_before_an_answer_leaves_the_attempts_it_cost() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine().head_after(PATIENCE)).await;
    {
        let asking = gateway.chat("GLM-4.5", json!({}));
        tokio::pin!(asking);
        let asked = gateway.until(|gateway| gateway.sim.chat_requests() == 1);
        tokio::select! {
            _ = &mut asking => panic!("no answer yet"),
            () = asked => {}
        }
    }
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(
        (&line["status_code"], &line["error_kind"]),
        (&json!(499), &json!("client_hung_up"))
    );
    assert_eq!(line["attempts"][0]["outcome"], "given_up", "{line}");
    assert_eq!(line["error_owner"], "client");
}

#[tokio::test]
async fn messages_and_answers_that_are_logged_are_bounded() {
    let long = "é".repeat(20_000);
    let event = format!(
        r#"{{"type":"chat:completion","data":{{"delta_content":"{long}","phase":"answer"}}}}"#
    );
    let done = r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#;
    let script = Script::events([event.as_str(), done]);
    let wanted = [("LOG_USER_MESSAGES", "true"), ("LOG_RESPONSE_CONTENT", "true")];
    let gateway = Gateway::with(Dialect::ZaiWeb, script, &wanted).await;
    let question = format!("{long} What is this?");
    let turn = |content: &str| json!({"role": "user", "content": content});
    let body = json!({"model": "GLM-4.5", "messages": [turn(&long), turn(&question)]});
    gateway.post(&body).await.text().await;
    let out = gateway.lines("response", 1).await.remove(0);
    let into = gateway.lines("request", 1).await.remove(0);
    assert_eq!(into["parameters"]["message_count"], 2);
    assert_eq!(into["messages"].as_array().unwrap().len(), 1, "there is room for the last");
    let asked = &into["messages"][0]["content"];
    assert!(asked.as_str().unwrap().ends_with("é What is this?"), "{asked}");
    for (text, most) in [(asked, 8192), (&out["content"], 4096)] {
        let text = text.as_str().unwrap();
        assert!((most - 100..most + 100).contains(&text.len()), "{}", text.len());
        assert!(text.contains(" bytes left out)…"), "{text}");
    }
}

#[tokio::test]
async fn tool_calls_are_of_an_answer_too() {
    let call = |index: u32, arguments: &str| {
        json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function",
            "function": {"name": "look", "arguments": arguments}}]})
    };
    let more = |arguments: &str| json!({"tool_calls": [{"index": 1, "function": {"arguments": arguments}}]});
    let long = "x".repeat(5000);
    let deltas = [
        json!({"content": "I look."}),
        call(0, r#"{"at":1}"#),
        call(1, r#"{"at":""#),
        more(&long),
        more(r#""}"#),
    ];
    let wanted = [("LOG_RESPONSE_CONTENT", "true")];
    let script = openai::says(&deltas, "tool_calls");
    let gateway = Gateway::with(Dialect::OpenAi, script, &wanted).await;
    for stream in [true, false] {
        gateway.chat("GLM-4.6", json!({"stream": stream})).await.text().await;
    }
    let lines = gateway.lines("response", 2).await;
    for line in &lines {
        assert_eq!(line["content"], "I look.");
        let [first, second] = line["tool_calls"].as_array().unwrap().as_slice() else {
            panic!("{line}")
        };
        assert_eq!(*first, json!({"id": "c0", "name": "look", "arguments": r#"{"at":1}"#}));
        let arguments = second["arguments"].as_str().unwrap();
        assert!(arguments.len() < 1100 && arguments.contains(" bytes left out)…"), "{arguments}");
        assert!(arguments.starts_with(r#"{"at":"x"#) && arguments.ends_with(r#"x"}"#));
    }
    gateway
        .sim
        .set_plan(openai::says(&(0..20).map(|n| call(n, "{}")).collect::<Vec<_>>(), "tool_calls"));
    gateway.chat("GLM-4.6", json!({})).await.text().await;
    let line = gateway.lines("response", 3).await.remove(2);
    assert_eq!(line["tool_calls"].as_array().unwrap().len(), 16);
    assert_eq!(line["tool_calls_left_out"], 4);
}

#[tokio::test]
async fn a_long_thought_takes_no_room_from_its_answer() {
    let thinking = openai::says(
        &[json!({"reasoning_content": "x".repeat(20_000)}), json!({"content": "So."})],
        "stop",
    );
    let wanted = [("LOG_RESPONSE_CONTENT", "true")];
    let gateway = Gateway::with(Dialect::OpenAi, thinking, &wanted).await;
    for (number, mode) in ["reasoning", "think"].into_iter().enumerate() {
        gateway.chat("GLM-4.6", json!({"reasoning_format": mode})).await.text().await;
        let line = gateway.lines("response", number + 1).await.remove(number);
        assert!(line["content"].as_str().unwrap().ends_with("So."), "{line}");
    }
}

#[tokio::test]
async fn what_a_client_makes_up_is_cut() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let long = "X".repeat(8000);
    let headers = [("user-agent", long.as_str())];
    gateway.send(&long, &format!("/{long}"), &headers, b"").await.text().await;
    gateway.lines("response", 1).await;
    for line in gateway.log.lines() {
        assert!(line.len() < 1000, "{line}");
    }
}

#[tokio::test]
async fn the_answer_of_a_client_that_goes_is_logged_as_far_as_it_came() {
    let text = r#"{"type":"chat:completion","data":{"delta_content":"so far","phase":"answer"}}"#;
    let script = Script::events([text]).stall_after(1);
    let gateway = Gateway::with(Dialect::ZaiWeb, script, &[("LOG_RESPONSE_CONTENT", "true")]).await;
    let mut reply = gateway.chat("GLM-4.5", json!({"stream": true})).await;
    while !reply.event().await.expect("a chunk").contains("so far") {}
    drop(reply);
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!((&line["status_code"], &line["content"]), (&json!(499), &json!("so far")));
}

#[tokio::test]
async fn of_an_answer_in_one_piece_that_its_client_gives_up_the_record_has_what_had_come() {
    let text = r#"{"type":"chat:completion","data":{"delta_content":"so far","phase":"answer"}}"#;
    let usage = r#"{"type":"chat:completion","data":{"phase":"other","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}"#;
    let script = Script::events([text, usage]).stall_after(2);
    let gateway = Gateway::with(Dialect::ZaiWeb, script, &[("LOG_RESPONSE_CONTENT", "true")]).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(chat_request(false, "")).await;
    let heard = async {
        while !gateway.get("/metrics").await.text().await.contains("z2api_stream_events_total 2\n")
        {
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("it has come");
    drop(client);
    let is_of_it = |line: &Value| line["status_code"] == 499;
    gateway.until(|gateway| gateway.log.lines().iter().any(|line| line.contains(":499,"))).await;
    let lines = gateway.lines("response", 1).await;
    let line = lines.iter().find(|line| is_of_it(line)).expect("its line");
    assert_eq!((&line["content"], &line["completion_tokens"]), (&json!("so far"), &json!(4)));
}

/// What may be the beginning of a stop word waits for what follows; a failure is the end of waiting.
#[tokio::test]
async fn the_log_has_what_the_client_of_a_broken_stream_has() {
    let text = r#"{"type":"chat:completion","data":{"delta_content":"so fa","phase":"answer"}}"#;
    let script = Script::events([text]).cut_after(1);
    let gateway = Gateway::with(Dialect::ZaiWeb, script, &[("LOG_RESPONSE_CONTENT", "true")]).await;
    let reply = gateway.chat("GLM-4.5", json!({"stream": true, "stop": "fall"})).await;
    let heard = reply.events().await.concat();
    assert!(heard.contains(r#""so ""#) && heard.contains(r#""fa""#), "{heard}");
    assert_eq!(gateway.lines("response", 1).await[0]["content"], "so fa");
}

#[tokio::test]
async fn probes_that_go_well_need_not_be_logged() {
    let quiet = [("LOG_PROBES", "false"), ("ADMIN_KEY", "an-admin-key-0001")];
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &quiet).await;
    let key = [("authorization", "Bearer an-admin-key-0001")];
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        assert_eq!(gateway.send("GET", path, &key, b"").await.status, 200, "{path}");
    }
    assert_eq!(gateway.get("/metrics").await.status, 401);
    assert_eq!(gateway.send("GET", "/status", &key, b"").await.status, 200);
    let lines = gateway.lines("response", 2).await;
    let told: Vec<_> = lines.iter().map(|line| (&line["endpoint"], &line["status_code"])).collect();
    assert_eq!(told, [(&json!("/metrics"), &json!(401)), (&json!("/status"), &json!(200))]);
    assert_eq!(gateway.lines("request", 2).await.len(), 2);
}

#[tokio::test]
async fn of_an_answer_without_its_body_no_bytes_are_sent() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    gateway.send("HEAD", "/health", &[], b"").await.text().await;
    gateway.get("/health").await.text().await;
    let sent: Vec<_> =
        gateway.lines("response", 2).await.iter().map(|line| line["bytes_sent"].as_u64()).collect();
    assert!(sent[0] == Some(0) && sent[1] > Some(100), "{sent:?}");
}

#[tokio::test]
async fn an_answer_in_one_piece_has_its_first_byte_at_its_end() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[]).await;
    gateway.chat("GLM-4.5", json!({})).await.text().await;
    gateway.chat("no-such-model", json!({})).await.text().await;
    gateway.get("/health").await.text().await;
    for line in gateway.lines("response", 3).await {
        let (first, all) = (&line["time_to_first_byte_ms"], &line["response_time_ms"]);
        assert!(first.as_u64().is_some_and(|first| Some(first) <= all.as_u64()), "{line}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failure_in_its_record_in_every_api() {
    let text = r#"{"type":"chat:completion","data":{"delta_content":"x","phase":"answer"}}"#;
    let error =
        r#"{"type":"chat:completion","data":{"error":{"code":"INTERNAL_ERROR","detail":"x"}}}"#;
    let begun = || Script::events([text]);
    let failing = [
        begun(),
        begun().cut_after(1),
        begun().reset_after(1),
        Script::events([text, "not JSON"]),
        Script::events([text, error]),
    ];
    for (number, script) in failing.into_iter().enumerate() {
        let gateway = Gateway::with(Dialect::ZaiWeb, script, &[("MAX_RETRIES", "0")]).await;
        let key = format!("Bearer {KEY}");
        let messages = json!([{"role": "user", "content": "x"}]);
        let apis = [
            ("/v1/chat/completions", "messages", &messages),
            ("/v1/completions", "prompt", &json!("x")),
            ("/v1/messages", "messages", &messages),
            ("/v1/responses", "input", &json!("x")),
        ];
        for (path, field, question) in apis {
            let headers = [("authorization", key.as_str())];
            let body =
                json!({"model": "GLM-4.5", "stream": true, "max_tokens": 5, field: question});
            let body = body.to_string();
            let reply = gateway.send("POST", path, &headers, body.as_bytes()).await;
            assert_eq!(reply.status, 200, "it has begun");
            reply.text().await;
        }
        for line in gateway.lines("response", apis.len()).await {
            assert_eq!(line["level"], "ERROR", "{number}: {line}");
            assert_eq!(line["error_owner"], "upstream", "{number}: {line}");
            assert!(line["error"].is_string() && line.get("finish_reason").is_none(), "{line}");
        }
        let status = gateway.get("/status").await.json().await;
        assert_eq!(status["error_count"], apis.len(), "{number}");
        let metrics = gateway.get("/metrics").await.text().await;
        assert!(!metrics.contains(r#"status="200",owner="none"} 4"#), "{metrics}");
    }
}

#[tokio::test]
async fn thinking_that_is_shown_apart_is_logged_apart() {
    let thinking = r#"{"type":"chat:completion","data":{"delta_content":"hm","phase":"thinking"}}"#;
    let [text, end] = [
        r#"{"type":"chat:completion","data":{"delta_content":"tide","phase":"answer"}}"#,
        r#"{"type":"chat:completion","data":{"phase":"done","done":true}}"#,
    ];
    let wanted = [("LOG_RESPONSE_CONTENT", "true"), ("THINK_TAGS_MODE", "reasoning")];
    let script = Script::events([thinking, text, end]);
    let gateway = Gateway::with(Dialect::ZaiWeb, script, &wanted).await;
    for stream in [true, false] {
        gateway.chat("GLM-4.5-Thinking", json!({"stream": stream})).await.text().await;
    }
    for line in gateway.lines("response", 2).await {
        let said = (&line["content"], &line["reasoning_content"]);
        assert_eq!(said, (&json!("tide"), &json!("hm")));
    }
}

#[tokio::test]
async fn a_refusal_names_the_field_at_fault_and_no_word_of_the_clients() {
    let gateway = Gateway::start(Dialect::ZaiWeb, fine()).await;
    gateway.post(&json!({"model": "GLM-4.5", "messages": [{"role": "user", "content": 7}]})).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str())];
    let deep = format!(r#"{{"a_word_of_the_clients":{}"#, "[".repeat(100));
    gateway.send("POST", "/v1/chat/completions", &headers, deep.as_bytes()).await.text().await;
    let out = gateway.lines("response", 2).await;
    let told = [&out[0]["error_param"], &out[1]["error_param"]];
    assert_eq!(told, [&json!("messages[0].content"), &json!("?[0]")]);
    assert!(!gateway.log.lines().join("\n").contains("a_word_of_the_clients"));
    let into = gateway.lines("request", 2).await;
    assert_eq!(into[1]["parameters"]["parameters"]["stream"], json!(null), "it is not known");
}
