//! Answers that are not the stream a client hopes for, ready made.

use serde_json::{Value, json};

use crate::script::Script;

/// A JSON document with a status.
pub fn json(status: u16, body: &Value) -> Script {
    Script::status(status, "application/json", body.to_string())
}

/// A refusal as the web chat words it: `{"detail": ...}`.
pub fn detail(status: u16, detail: &str) -> Script {
    json(status, &json!({ "detail": detail }))
}

/// A refusal as the OpenAI-compatible API words it: `{"error": {"code", "message"}}`.
pub fn api_error(status: u16, code: &str, message: &str) -> Script {
    json(status, &json!({ "error": { "code": code, "message": message } }))
}

/// The page of a web application firewall: status 405, HTML.
pub fn firewall_page() -> Script {
    let page = "<!doctypehtml><html lang=\"en\"><head><meta charset=\"utf-8\">\
        <title>405</title></head><body><h1>405</h1>\
        <p>The simulated firewall keeps this request out.</p></body></html>";
    Script::status(405, "text/html; charset=utf-8", page)
}

/// A redirect (302) to somewhere else.
pub fn redirect(location: &str) -> Script {
    Script::status(302, "text/plain", "").header("location", location)
}

/// A 200 that says nothing at all.
pub fn empty() -> Script {
    Script::status(200, "text/event-stream", "")
}

/// A web chat stream of one event: the error, in both places the real ones stand. `code` is a
/// number or a text.
pub fn web_error(code: impl Into<Value>, detail: &str) -> Script {
    Script::events([web_error_event(code, detail)])
}

/// The event of [`web_error`], to stand anywhere in a stream.
pub fn web_error_event(code: impl Into<Value>, detail: &str) -> String {
    let error = json!({ "code": code.into(), "detail": detail });
    json!({
        "type": "chat:completion",
        "data": { "data": { "error": error, "done": true }, "error": error, "done": true },
    })
    .to_string()
}

/// An error event of the OpenAI-compatible API, to stand anywhere in a stream.
pub fn api_error_event(code: &str, message: &str) -> String {
    json!({ "error": { "code": code, "message": message } }).to_string()
}
