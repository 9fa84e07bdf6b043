//! The web chat's own protocol: its headers, its request, its refusals.
//!
//! Facts from captured traffic and public clients of the web chat. What its page does to show
//! that a person sits before it (signatures, captchas, fingerprints) is left out on purpose.

use std::collections::BTreeMap;

use ::http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;
use z2api_wire::chat::Chat;
use z2api_wire::zai::{BackgroundTasks, Features, Params, WebRequest};

use crate::classify::Refusal;
use crate::dialect::{Outgoing, Uploaded, zai_files};
use crate::endpoint::Endpoint;
use crate::error::{Blocker, Error};
use crate::settings::{Settings, SettingsError};

pub(super) fn common_headers(
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<HeaderMap, SettingsError> {
    let header = |setting, value: &str| {
        HeaderValue::from_str(value).map_err(|_| SettingsError::Header { setting })
    };
    Ok(HeaderMap::from_iter([
        (ORIGIN, header("url", &endpoint.origin)?),
        (ACCEPT_LANGUAGE, header("accept_language", &settings.accept_language)?),
        (HeaderName::from_static("x-fe-version"), header("fe_version", &settings.fe_version)?),
    ]))
}

pub(super) fn request(
    endpoint: &Endpoint,
    chat: &Chat,
    files: &[Uploaded],
) -> Result<Outgoing, Error> {
    let referring = (!files.is_empty()).then(|| zai_files::refer(&chat.messages, files));
    let message_id = Uuid::new_v4().to_string();
    let chat_id = Uuid::new_v4().to_string();
    let id = Uuid::new_v4().to_string();
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let request = WebRequest {
        stream: true,
        model: &chat.model,
        messages: referring.as_deref().unwrap_or(&chat.messages),
        params: Params {
            temperature: chat.temperature,
            top_p: chat.top_p,
            max_tokens: chat.max_tokens,
            stop: &chat.stop,
        },
        features: Features {
            enable_thinking: chat.thinking,
            web_search: chat.search,
            auto_web_search: chat.search,
            image_generation: false,
            preview_mode: false,
        },
        background_tasks: BackgroundTasks::default(),
        chat_id: &chat_id,
        id: &id,
        mcp_servers: &chat.mcp_servers,
        tool_servers: [],
        variables: BTreeMap::from([
            ("{{CURRENT_DATETIME}}", now),
            ("{{USER_LOCATION}}", "Unknown".to_owned()),
            ("{{USER_NAME}}", "Guest".to_owned()),
        ]),
    };
    let body = if files.is_empty() {
        serde_json::to_vec(&request)
    } else {
        let files = files.iter().map(|file| zai_files::reference(file, &message_id)).collect();
        serde_json::to_vec(&WithFiles { request, files, current_user_message_id: &message_id })
    };
    let body = body.map_err(|error| unwritable(&error))?;
    let referer = HeaderValue::from_str(&format!("{}/c/{chat_id}", endpoint.origin));
    let headers = referer.into_iter().map(|referer| (REFERER, referer)).collect();
    Ok(Outgoing { headers, body })
}

/// A request that refers to files.
#[derive(Serialize)]
struct WithFiles<'a> {
    #[serde(flatten)]
    request: WebRequest<'a>,
    files: Vec<zai_files::Reference<'a>>,
    current_user_message_id: &'a str,
}

/// The refusals of the web chat say what they are in several ways at once.
pub(super) fn refusal(refusal: &Refusal<'_>) -> Option<Error> {
    let status = refusal.effective_status();
    let is_server_fault = status.is_some_and(|status| status >= 500);
    let text = refusal.fault.message.to_lowercase();
    let code = refusal.fault.code.as_deref().unwrap_or_default().to_lowercase();
    let blocked = |by| Some(Error::Blocked { by, status: refusal.status });
    if status == Some(426) || text.contains("client version") || text.contains("客户端校验") {
        return blocked(Blocker::ClientVersion);
    }
    if code.contains("captcha") || text.contains("captcha") {
        return blocked(Blocker::Captcha);
    }
    if text.contains("signature") || text.contains("签名") {
        return blocked(Blocker::Signature);
    }
    // A gateway before an upstream that is down also answers with a page, and that may pass.
    if status == Some(405) || (refusal.html && !is_server_fault && status != Some(429)) {
        return blocked(Blocker::Firewall);
    }
    if text.contains("concurrency") || text.contains("并发") {
        let (status, retry_after) = (refusal.status, refusal.retry_after);
        let (fault, body) = (refusal.fault.clone(), refusal.body.as_str().into());
        return Some(Error::RateLimited { status, retry_after, fault, body });
    }
    None
}

/// A web page with status 200.
pub(super) fn page() -> Error {
    Error::Blocked { by: Blocker::Firewall, status: None }
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::unsent(None, format!("the request cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use z2api_wire::event::Dialect;

    use super::*;

    fn check(status: u16, body: &str, kind: &str, retried: bool) {
        let refusal = Refusal::from_body(Dialect::ZaiWeb, status, body.as_bytes(), None, None);
        let error = refusal.into_error();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retried), "{status} {body}");
        assert_eq!(error.status(), (status != 200).then_some(status));
    }

    #[test]
    fn what_keeps_unattended_clients_out_is_named_and_never_tried_again() {
        check(426, "", "upstream_client_version", false);
        check(200, r#"{"error":{"code":426,"detail":"x"}}"#, "upstream_client_version", false);
        check(400, r#"{"detail":"您的客户端校验失败"}"#, "upstream_client_version", false);
        check(403, "FRONTEND_CAPTCHA_REQUIRED", "upstream_captcha_required", false);
        check(
            403,
            r#"{"error":{"captcha_error_type":"verify_failed","error_code":"FRONTEND_CAPTCHA"}}"#,
            "upstream_captcha_required",
            false,
        );
        let signature = r#"{"detail":"403: Signature validation failed: 签名验证失败"}"#;
        check(400, signature, "upstream_signature_required", false);
        check(405, "", "upstream_firewall", false);
        check(405, "<!doctypehtml><html>", "upstream_firewall", false);
        check(403, "\n <html>", "upstream_firewall", false);
        check(200, "<html>", "upstream_firewall", false);
    }

    #[test]
    fn talk_of_concurrency_is_a_rate_limit() {
        check(400, r#"{"detail":"Concurrency exceeded"}"#, "upstream_rate_limited", true);
        check(200, r#"{"error":{"detail":"并发数过高"}}"#, "upstream_rate_limited", true);
    }

    fn written(chat: &Chat) -> (Value, HeaderMap) {
        let settings = Settings::default();
        let endpoint = Endpoint::new(&settings).unwrap();
        let outgoing = request(&endpoint, chat, &[]).unwrap();
        (serde_json::from_slice(&outgoing.body).unwrap(), outgoing.headers)
    }

    #[test]
    fn a_search_is_written_as_the_page_writes_it() {
        let mut chat = Chat::ask("0727-360B-API", "hi");
        chat.thinking = true;
        chat.search = true;
        chat.mcp_servers = vec!["deep-web-search".to_owned()];
        chat.max_tokens = Some(5);
        let (body, _) = written(&chat);
        assert_eq!(body["model"], "0727-360B-API");
        assert_eq!(body["stream"], true);
        assert_eq!(body["params"], json!({"max_tokens": 5}));
        assert_eq!(body["mcp_servers"], json!(["deep-web-search"]));
        assert_eq!(body["features"]["enable_thinking"], true);
        assert_eq!(body["features"]["web_search"], true);
        assert_eq!(body["features"]["auto_web_search"], true);
        let now = body["variables"]["{{CURRENT_DATETIME}}"].as_str().unwrap();
        assert_eq!(now.len(), "2025-01-01 00:00:00".len(), "{now}");
    }

    #[test]
    fn each_request_has_ids_of_its_own_and_refers_to_its_chat() {
        let chat = Chat::ask("m", "hi");
        let (first, headers) = written(&chat);
        let (second, _) = written(&chat);
        assert_ne!(first["chat_id"], second["chat_id"]);
        assert_ne!(first["id"], second["id"]);
        assert_eq!(first["mcp_servers"], json!([]));
        let referer = format!("https://chat.z.ai/c/{}", first["chat_id"].as_str().unwrap());
        assert_eq!(headers[REFERER], referer);
    }
}
