//! How the upstream answers and fails: in each way it repeats what it was asked with.

use serde_json::{Value, json};
use z2api_upstream_sim::{Script, faults};
use z2api_wire::event::Dialect;

use crate::slots::secret;

/// All ways to answer one who came with this token.
pub(crate) fn ways(dialect: Dialect, token: &str) -> Vec<Script> {
    let mut all = failures(dialect, token);
    all.extend(broken_streams(dialect, token));
    all.push(whole(dialect));
    all.into_iter().map(|way| way.header("x-served-by", secret("upstream-header"))).collect()
}

fn failures(dialect: Dialect, token: &str) -> Vec<Script> {
    let echo = format!("{}: {token}", secret("upstream-words"));
    let refused = |status| match dialect {
        Dialect::ZaiWeb => faults::detail(status, &echo),
        Dialect::OpenAi => faults::api_error(status, "1000", &echo),
    };
    let mut all: Vec<Script> = [400, 401, 403, 404, 426, 429, 500, 503].map(refused).into();
    let elsewhere = format!("/elsewhere?token={token}&at={}", secret("upstream-redirect"));
    all.extend([
        Script::status(403, "text/html", format!("<html>{echo} captcha</html>")),
        Script::status(200, "text/html", format!("<html>{echo}</html>")),
        Script::status(200, "application/json", json!({"a": echo}).to_string()),
        faults::redirect(&elsewhere),
        faults::empty(),
    ]);
    all
}

fn broken_streams(dialect: Dialect, token: &str) -> Vec<Script> {
    let echo = format!("{}: {token}", secret("upstream-words"));
    let error = match dialect {
        Dialect::ZaiWeb => faults::web_error_event("INTERNAL_ERROR", &echo),
        Dialect::OpenAi => faults::api_error_event("1234", &echo),
    };
    let text = said(dialect).remove(1);
    let stream = |events: &[&str]| Script::events(events.iter().map(|event| (*event).to_owned()));
    vec![
        stream(&[&error]),
        stream(&[&text, &error]),
        stream(&[&text, &json!({"odd": echo}).to_string()]),
        stream(&[&text, &format!("not JSON: {echo}")]),
        stream(&[&text]).cut_after(1),
        stream(&[&text]).reset_after(1),
        stream(&[&text, &text]),
    ]
}

/// One that says something, and nothing more.
pub(crate) fn stuck(dialect: Dialect) -> Script {
    Script::events(said(dialect)).stall_after(2)
}

/// An answer with all that there is in one.
pub(crate) fn whole(dialect: Dialect) -> Script {
    let end = match dialect {
        Dialect::ZaiWeb => vec![event(json!({"phase": "done", "done": true}))],
        Dialect::OpenAi => vec![chunk(json!({}), Some("tool_calls")), "[DONE]".to_owned()],
    };
    Script::events(said(dialect).into_iter().chain(end))
}

/// A thought first, then a text, then what else there is in the dialect.
fn said(dialect: Dialect) -> Vec<String> {
    let (title, url) =
        (secret("found-title"), format!("https://example.org/{}", secret("found-url")));
    match dialect {
        Dialect::ZaiWeb => {
            let found = format!("[ref_id=turn0search0†{title}†{url}]\n{}", secret("found-text"));
            vec![
                event(json!({"delta_content": secret("reasoning"), "phase": "thinking"})),
                event(json!({"delta_content": secret("answer"), "phase": "answer"})),
                event(
                    json!({"phase": "tool_response", "tool_name": "search", "status": "completed",
                    "metadata": {"tool_call_id": "call_7"}, "delta_content": found}),
                ),
                event(json!({"delta_content": "【turn0search0】", "phase": "answer"})),
            ]
        }
        Dialect::OpenAi => {
            let arguments = json!({"a": secret("call-arguments")}).to_string();
            let call = json!({"index": 0, "id": "c", "type": "function",
                "function": {"name": "look", "arguments": arguments}});
            let found = json!({"choices": [], "web_search": [{"title": title, "link": url,
                "content": secret("found-text"), "refer": "ref_1"}]});
            vec![
                chunk(json!({"reasoning_content": secret("reasoning")}), None),
                chunk(json!({"content": secret("answer")}), None),
                found.to_string(),
                chunk(json!({"tool_calls": [call]}), None),
            ]
        }
    }
}

fn event(data: Value) -> String {
    json!({"type": "chat:completion", "data": data}).to_string()
}

fn chunk(delta: Value, finish: Option<&str>) -> String {
    z2api_tests::openai::chunk(&delta, finish)
}
