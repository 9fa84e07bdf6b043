//! Answers as the prompt says: for programs that test a whole gateway with real clients.

mod api;
mod web;
mod wish;

use std::time::Duration;

use serde_json::Value;

use self::wish::{Refusal, Wish};
use crate::{
    demo::{Asked, Demo},
    faults,
    plan::Plan,
    record::Recorded,
    route::Dialect,
    script::Script,
};

/// A plan that does what a JSON object in the last user message says, in either dialect; a prompt
/// that is no such object gets the [`Demo`]'s answer.
///
/// The object has any of these fields. Each `then` is another such object.
///
/// | field | meaning |
/// | --- | --- |
/// | `think` | what is thought, if the request asks for thinking |
/// | `say` | what is said; `{{0}}` stands for the citation of the first page found |
/// | `found` | the pages a search finds, if the request asks for one: `[{"title", "link"}]` |
/// | `call` | tool calls: `[{"id", "name", "arguments"}]`, the arguments as an object (`openai`) |
/// | `usage` | `{"prompt", "completion"}`, and `"cached"`, `"reasoning"` (`openai`) |
/// | `finish` | the finish reason (`openai`) |
/// | `piece` | so many characters come in one event |
/// | `after_ms` | so long until the response head, of a refusal too |
/// | `pace_ms` | so long between two events |
/// | `refuse` | no answer but `{"status", "code", "message", "retry_after"}` |
/// | `fail_after` | an error event after so many events |
/// | `cut_after`, `stall_after` | the end of the connection, or silence, after so many events |
/// | `then` | what to do when asked again, an assistant's message later |
#[derive(Clone, Copy, Debug, Default)]
pub struct Prompted;

impl Plan for Prompted {
    fn answer(&self, request: &Recorded) -> Script {
        let Some(dialect) = request.dialect() else { return faults::detail(404, "Not Found") };
        let body = request.json();
        match Wish::of(&body) {
            None => Demo.answer(request),
            Some(Ok(wish)) => grant(&wish, dialect, &body),
            Some(Err(error)) => {
                let refusal = Refusal::bad_wish(&error.to_string());
                refuse(&refusal, dialect)
            }
        }
    }
}

fn grant(wish: &Wish, dialect: Dialect, body: &Value) -> Script {
    let begins_after = Duration::from_millis(wish.after_ms);
    if let Some(refusal) = &wish.refuse {
        return refuse(refusal, dialect).head_after(begins_after);
    }
    let (mut events, failure) = match dialect {
        Dialect::ZaiWeb => (web::events(wish, &Asked::of_web(body)), web::failure()),
        Dialect::OpenAi => (api::events(wish, &Asked::of_api(body)), api::failure()),
    };
    if let Some(after) = wish.fail_after {
        events.truncate(after);
        events.push(failure);
    }
    let pace = Duration::from_millis(wish.pace_ms);
    let script = Script::events(events).head_after(begins_after).pace(pace);
    match (wish.cut_after, wish.stall_after) {
        (Some(writes), _) => script.cut_after(writes),
        (None, Some(writes)) => script.stall_after(writes),
        (None, None) => script,
    }
}

fn refuse(refusal: &Refusal, dialect: Dialect) -> Script {
    let script = match dialect {
        Dialect::ZaiWeb => faults::detail(refusal.status, &refusal.message),
        Dialect::OpenAi => faults::api_error(refusal.status, &refusal.code, &refusal.message),
    };
    match refusal.retry_after {
        Some(seconds) => script.header("retry-after", seconds.to_string()),
        None => script,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Outcome;

    fn asked(path: &str, body: &Value) -> String {
        let request = Recorded {
            number: 0,
            method: "POST".into(),
            path: path.into(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            outcome: Outcome::Running,
        };
        String::from_utf8(Prompted.answer(&request).writes.concat()).unwrap()
    }

    fn wished(path: &str, wish: &Value, fields: Value) -> String {
        let mut body = json!({ "stream": true, "model": "m", "messages": [
            { "role": "user", "content": wish.to_string() },
        ]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        asked(path, &body)
    }

    const API: &str = "/api/paas/v4/chat/completions";
    const WEB: &str = "/api/chat/completions";

    #[test]
    fn a_wish_is_granted_in_both_dialects() {
        let wish = json!({ "think": "hm", "say": "so", "usage": { "prompt": 3, "completion": 4 } });
        let web = wished(WEB, &wish, json!({ "features": { "enable_thinking": true } }));
        assert!(web.contains("> hm") && web.contains("so") && web.contains(r#""total_tokens":7"#));
        let api = wished(API, &wish, json!({ "thinking": { "type": "enabled" } }));
        assert!(api.contains(r#""reasoning_content":"hm""#) && api.contains(r#""content":"so""#));
        assert!(api.contains(r#""total_tokens":7"#) && api.ends_with("data: [DONE]\n\n"));
        assert!(!wished(API, &wish, json!({})).contains("hm"), "thinks only when asked");
    }

    #[test]
    fn a_call_comes_first_and_then_what_is_said_about_its_result() {
        let call = json!([{ "id": "c1", "name": "f", "arguments": { "x": 1 } }]);
        let wish = json!({ "call": call, "then": { "say": "one" } });
        let first = wished(API, &wish, json!({}));
        assert!(
            first.contains(r#""id":"c1""#) && first.contains(r#""finish_reason":"tool_calls""#)
        );
        let messages = json!([
            { "role": "user", "content": wish.to_string() },
            { "role": "assistant", "tool_calls": call },
            { "role": "tool", "tool_call_id": "c1", "content": "1" },
        ]);
        let second = wished(API, &wish, json!({ "messages": messages }));
        assert!(second.contains(r#""content":"one""#) && !second.contains("tool_calls"));
    }

    #[test]
    fn pages_are_found_and_cited_when_a_search_is_asked_for() {
        let page = json!({ "title": "Tides", "link": "https://example.org/tides" });
        let wish = json!({ "found": [page], "say": "Noon{{0}}." });
        let web = wished(WEB, &wish, json!({ "features": { "web_search": true } }));
        assert!(web.contains("[ref_id=turn0search0†Tides†https://example.org/tides]"));
        let tools = json!([{ "type": "web_search" }]);
        let api = wished(API, &wish, json!({ "tools": tools }));
        assert!(api.contains(r#""link":"https://example.org/tides""#));
        assert!(!wished(WEB, &wish, json!({})).contains("example.org"));
    }

    #[test]
    fn faults_come_when_they_are_wished() {
        let failing = json!({ "say": "abcdef", "piece": 1, "fail_after": 2 });
        for (path, error) in [(WEB, r#""error":{"#), (API, r#""error":{"#)] {
            let stream = wished(path, &failing, json!({}));
            assert_eq!(stream.matches("data: ").count(), 3, "{stream}");
            assert!(stream.contains(error), "{stream}");
        }
        let refusal = json!({ "refuse": { "status": 429, "code": "1302", "retry_after": 2 } });
        assert!(wished(API, &refusal, json!({})).contains(r#""code":"1302""#));
    }

    #[test]
    fn a_wish_that_is_misspelt_is_refused_and_plain_words_get_the_demo() {
        assert!(wished(API, &json!({ "sya": "x" }), json!({})).contains("unknown field"));
        let body = json!({ "messages": [{ "role": "user", "content": "Why?" }] });
        assert!(asked(WEB, &body).contains(r#""delta_content":"Why?""#));
    }
}
