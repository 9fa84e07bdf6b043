//! Each place that a secret is put in, and how far it may come.

/// Where a secret is to arrive: one that does not is not tested by anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes no further than the gateway: a key, or a field that is left out.
    Here,
    Upstream,
    Client,
    Collector,
    Proxy,
}

use End::{Client, Collector, Here, Proxy, Upstream};

/// Each slot has a secret of its own.
pub(crate) const SLOTS: [(&str, End); SLOT_COUNT] = [
    // Of a client's request, around its body.
    ("api-key", Here),
    ("x-api-key", Here),
    ("query-key", Here),
    ("wrong-key", Here),
    ("cookie", Here),
    ("baggage", Here),
    // Of its body, in Chat Completions.
    ("system", Upstream),
    ("developer", Upstream),
    ("user-text", Upstream),
    ("assistant", Upstream),
    ("assistant-thought", Upstream),
    ("tool-name", Upstream),
    ("tool-description", Upstream),
    ("tool-parameter", Upstream),
    ("tool-arguments", Upstream),
    ("tool-result", Upstream),
    ("image-data", Upstream),
    ("image-url", Upstream),
    ("stop", Upstream),
    ("end-user", Upstream),
    ("schema", Upstream),
    ("metadata", Here),
    ("cache-key", Here),
    ("prediction", Here),
    ("unknown-field", Here),
    // In the older text completions, in Messages, in Responses.
    ("prompt", Upstream),
    ("messages-system", Upstream),
    ("messages-text", Upstream),
    ("messages-thought", Upstream),
    ("messages-document", Upstream),
    ("messages-arguments", Upstream),
    ("messages-result", Upstream),
    ("messages-user-id", Upstream),
    ("stop-sequence", Here),
    ("counted", Here),
    ("instructions", Upstream),
    ("input", Upstream),
    ("responses-thought", Upstream),
    ("responses-arguments", Upstream),
    ("responses-output", Upstream),
    ("responses-metadata", Client),
    // Of the upstream.
    ("answer", Client),
    ("reasoning", Client),
    ("call-arguments", Client),
    ("found-title", Client),
    ("found-url", Client),
    ("found-text", Here),
    ("upstream-header", Here),
    ("upstream-redirect", Here),
    ("upstream-words", Client),
    // Of the operator, and of what he set up.
    ("upstream-token", Upstream),
    ("admin-key", Here),
    ("collector-key", Collector),
    ("collector-words", Here),
    ("proxy-password", Proxy),
    ("proxy-words", Client),
];
const SLOT_COUNT: usize = 56;

/// What the upstream, or what is in its place, says of a failure. The client may read that, the log not.
pub(crate) const COMPLAINTS: [&str; 2] = ["upstream-words", "proxy-words"];

/// What all secrets begin with: a piece of one is found too.
pub(crate) const MARK: &str = "canary-";
/// `canary:` and the proxy's password, as a proxy is told them.
const PROXY_BASIC: &str = "Y2FuYXJ5OmNhbmFyeS1wcm94eS1wYXNzd29yZC01ZDIw";
/// An image in base64, which has no hyphens.
const IMAGE: &str = "Y2FuYXJ5IGltYWdl";

/// The secret in a slot.
pub(crate) fn secret(slot: &str) -> String {
    assert!(SLOTS.iter().any(|(name, _)| *name == slot), "no slot {slot}");
    match slot {
        "image-data" => IMAGE.to_owned(),
        _ => format!("{MARK}{slot}-5d20"),
    }
}

/// How the secret is written where it arrives.
pub(crate) fn on_arrival(slot: &str) -> String {
    match slot {
        "proxy-password" => PROXY_BASIC.to_owned(),
        _ => secret(slot),
    }
}
