//! Every stream of `tests/streams`, as it is meant; and the order of the events.

use serde_json::{Value, json};
use z2api_stream_transform::ThinkMode;
use z2api_tests::{Case, Ends, Gateway, cases};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

use crate::{ask, gather, of_kind, says, text_of};

fn check_meaning(response: &Value, case: &Case, name: &str) {
    let text = |kind| of_kind(response, kind).map(text_of).collect::<String>();
    assert_eq!(text("reasoning"), case.reasoning(ThinkMode::Reasoning), "{name}");
    assert_eq!(text("message"), case.content(ThinkMode::Reasoning).unwrap(), "{name}");
    let calls: Vec<&Value> = of_kind(response, "function_call").collect();
    assert_eq!(calls.len(), case.tool_calls.len(), "{name}");
    for (call, meant) in calls.iter().zip(&case.tool_calls) {
        assert_eq!((&call["call_id"], &call["name"]), (&json!(meant.id), &json!(meant.name)));
        assert_eq!(call["arguments"], meant.arguments, "{name}");
    }
    let cited = of_kind(response, "message").last();
    let cited = cited.map_or(&Value::Null, |item| &item["content"][0]["annotations"]);
    assert_eq!(cited.as_array().map_or(0, Vec::len), case.sources.len(), "{name}");
    match &case.usage {
        None => assert_eq!(response["usage"], Value::Null, "{name}: never invented"),
        Some(usage) => {
            assert_eq!(response["usage"]["input_tokens"], usage["prompt_tokens"], "{name}");
            assert_eq!(response["usage"]["output_tokens"], usage["completion_tokens"], "{name}");
        }
    }
}

/// A gateway for each: after some failures in a row one would leave the upstream alone.
async fn check(script: Script, case: &Case, how: &str) {
    let gateway = Gateway::with(case.dialect, script, &[("MAX_RETRIES", "0")]).await;
    let name = format!("{}, {how}", case.name);
    let streamed = ask(&gateway, json!({"stream": true})).await;
    let whole = ask(&gateway, json!({})).await;
    if streamed.status != 200 {
        assert!(!matches!(case.ends, Ends::Finish(_)), "{name}");
        assert_eq!(streamed.status, whole.status, "{name}");
        assert!(streamed.json().await["error"]["message"].is_string(), "{name}");
        return;
    }
    let heard = gather(&streamed.events().await);
    match &case.ends {
        Ends::Finish(reason) => {
            let (status, why) = match reason.as_str() {
                "length" => ("incomplete", json!({"reason": "max_output_tokens"})),
                "content_filter" => ("incomplete", json!({"reason": "content_filter"})),
                _ => ("completed", Value::Null),
            };
            assert_eq!((&heard["status"], &heard["incomplete_details"]), (&json!(status), &why));
            check_meaning(&heard, case, &name);
            assert_eq!(without_names(whole.json().await), without_names(heard), "{name}");
        }
        Ends::Truncated | Ends::Error(_) => {
            assert_eq!(heard["status"], "failed", "{name}");
            assert!(heard["error"]["message"].is_string(), "{name}");
            assert_eq!(whole.status, 502, "{name}: no part may look whole");
        }
    }
}

fn without_names(mut response: Value) -> Value {
    response["id"].take();
    response["created_at"].take();
    for item in response["output"].as_array_mut().unwrap() {
        item["id"].take();
    }
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_arrives_as_it_is_meant() {
    for case in cases() {
        for (way, script) in case.ways() {
            check(script, &case, way).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_thinks_again_has_the_same_items_streamed_and_whole() {
    let chunk = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
    let call = json!({"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}});
    let page = |at: u64| json!({"title": "t", "link": format!("https://example.org/{at}"), "refer": format!("turn0search{at}")});
    let mut found = chunk(json!({"role": "assistant"}));
    found["web_search"] = json!([page(1), page(2), page(3)]);
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let said = [
        found,
        chunk(json!({"reasoning_content": "Hm."})),
        chunk(json!({"content": "Grüße【turn0search1】."})),
        chunk(json!({"reasoning_content": "And?"})),
        chunk(json!({"content": "So【turn0search2】."})),
        chunk(json!({"tool_calls": [call]})),
        end,
    ];
    let events = said.iter().map(Value::to_string).chain(["[DONE]".to_owned()]);
    let gateway = Gateway::start(Dialect::OpenAi, Script::events(events)).await;
    let events = ask(&gateway, json!({"stream": true})).await.events().await;
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    let whole = ask(&gateway, json!({})).await.json().await;
    assert_eq!(without_names(last["response"].clone()), without_names(whole.clone()));
    let kinds: Vec<&str> = whole["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["reasoning", "message", "reasoning", "message", "function_call"]);
    let mut cited = Vec::new();
    for message in of_kind(&whole, "message") {
        let text: Vec<char> = text_of(message).chars().collect();
        for page in message["content"][0]["annotations"].as_array().unwrap() {
            let index = |name: &str| page[name].as_u64().unwrap() as usize;
            let stretch: String = text[index("start_index")..index("end_index")].iter().collect();
            cited.push((page["url"].as_str().unwrap().to_owned(), stretch));
        }
    }
    let link = |at: u64| {
        (format!("https://example.org/{at}"), format!("[{at}](https://example.org/{at})"))
    };
    assert_eq!(cited, [link(1), link(2), ("https://example.org/3".to_owned(), String::new())]);
}

#[tokio::test]
async fn the_events_are_openais_in_their_order() {
    let script = says(json!({"reasoning_content": "Hm.", "content": "Yes.",
        "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}]}));
    let gateway = Gateway::start(Dialect::OpenAi, script).await;
    let kinds = async |fields: Value| -> Vec<String> {
        let events = ask(&gateway, fields).await.events().await;
        let kind = |event: &String| serde_json::from_str::<Value>(event).unwrap()["type"].clone();
        events.iter().map(|e| kind(e).as_str().unwrap()["response.".len()..].to_owned()).collect()
    };
    let rest = [
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    let raw = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ];
    assert_eq!(kinds(json!({"stream": true})).await, [raw.as_slice(), &rest].concat());
    let summary = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ];
    let fields = json!({"stream": true, "reasoning": {"summary": "auto"}});
    assert_eq!(kinds(fields).await, [summary.as_slice(), &rest].concat());
}
