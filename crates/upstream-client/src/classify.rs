//! A refusal of the upstream becomes an error: what the dialect knows, then the code, then the
//! status.

use std::time::Duration;

use z2api_wire::event::Dialect;
use z2api_wire::fault::Fault;

use crate::codes::{Class, row_of};
use crate::dialect;
use crate::error::{Blocker, Error, Verdict};
use crate::reset_time;
use crate::token::Token;

/// The most of a refusal's body that is kept for the caller, in bytes.
const MAX_BODY: usize = 4096;

/// All that is known about a refusal.
pub(crate) struct Refusal<'a> {
    pub(crate) dialect: Dialect,
    /// The HTTP status; None inside an answer of status 200.
    pub(crate) status: Option<u16>,
    pub(crate) fault: Fault,
    /// The body is a web page.
    pub(crate) html: bool,
    /// The body as text, unless it is a web page.
    pub(crate) body: String,
    pub(crate) retry_after: Option<Duration>,
    /// What was sent, to be masked where the upstream repeats it.
    pub(crate) token: Option<&'a Token>,
}

impl<'a> Refusal<'a> {
    /// An error event inside an answer of status 200.
    pub(crate) fn in_band(dialect: Dialect, fault: Fault, token: Option<&'a Token>) -> Self {
        let body = String::new();
        Self { dialect, status: None, fault, html: false, body, retry_after: None, token }
    }

    /// The error body of an answer. Status 200 says nothing: the error counts as in-band.
    pub(crate) fn from_body(
        dialect: Dialect,
        status: u16,
        body: &[u8],
        retry_after: Option<Duration>,
        token: Option<&'a Token>,
    ) -> Self {
        let html = looks_like_html(body);
        let fault = Fault::from_body(body).unwrap_or_else(|| Fault {
            code: None,
            message: if html { String::new() } else { plain_text(body) },
        });
        let status = (status != 200).then_some(status);
        let shown = if html { b"" } else { &body[..body.len().min(MAX_BODY)] };
        let body = String::from_utf8_lossy(shown).into_owned();
        Self { dialect, status, fault, html, body, retry_after, token }
    }

    /// The status that counts: HTTP's, or a code that is one where HTTP said 200.
    pub(crate) fn effective_status(&self) -> Option<u16> {
        let code = || self.fault.code.as_deref()?.parse().ok().filter(|c| (400..600).contains(c));
        self.status.or_else(code)
    }

    /// The verdict.
    pub(crate) fn into_error(mut self) -> Error {
        self.clean();
        if let Some(error) = dialect::refusal(&self) {
            return error;
        }
        match self.fault.code.as_deref().and_then(row_of) {
            Some(row) => self.by_class(row.class),
            None => self.by_status(),
        }
    }

    fn by_class(self, class: Class) -> Error {
        let Self { status, fault, retry_after, body, .. } = self;
        let body = body.into_boxed_str();
        match class {
            Class::Transient => {
                let verdict = Verdict::Transient;
                Error::Rejected { status, fault, verdict, retry_after, body }
            }
            Class::Refused => {
                let verdict = Verdict::Final;
                Error::Rejected { status, fault, verdict, retry_after, body }
            }
            Class::Unauthorized => Error::Unauthorized { status, fault, body },
            Class::RateLimited => Error::RateLimited { status, retry_after, fault, body },
            Class::Quota => {
                let retry_after = retry_after.or_else(|| reset_time::of(&fault.message));
                Error::QuotaExhausted { status, retry_after, fault, body }
            }
            Class::BadRequest => Error::BadRequest { status, fault, body },
            Class::ModelNotFound => Error::ModelNotFound { status, fault, body },
            Class::ContextLength => Error::ContextLength { status, fault, body },
            Class::ContentFilter => Error::ContentFilter { status, fault, body },
            Class::Captcha => Error::Blocked { by: Blocker::Captcha, status },
        }
    }

    /// No code that is known. A 429 without one is taken at its word.
    fn by_status(self) -> Error {
        match self.effective_status() {
            Some(400 | 413 | 422 | 435) => self.by_class(Class::BadRequest),
            Some(401) => self.by_class(Class::Unauthorized),
            Some(402) => self.by_class(Class::Quota),
            Some(404) if self.fault.message.to_lowercase().contains("model") => {
                self.by_class(Class::ModelNotFound)
            }
            Some(429) if self.has_foreign_code() => self.by_class(Class::Refused),
            Some(429) => self.by_class(Class::RateLimited),
            Some(408 | 425 | 500..) => self.by_class(Class::Transient),
            Some(_) | None => self.by_class(Class::Refused),
        }
    }

    /// A code that is neither in the table nor just the status again.
    fn has_foreign_code(&self) -> bool {
        let Some(code) = self.fault.code.as_deref() else { return false };
        code.parse() != Ok(self.effective_status().unwrap_or(0))
    }

    /// Takes out of the upstream's words what must not be passed on.
    fn clean(&mut self) {
        if looks_like_html(self.fault.message.as_bytes()) {
            self.fault.message.clear();
            self.body.clear();
        }
        for token in self.token.iter().flat_map(|token| token.hidden()) {
            self.fault.message = self.fault.message.replace(token, "****");
            self.body = self.body.replace(token, "****");
            self.fault.code = self.fault.code.take().filter(|code| !code.contains(token));
        }
    }
}

/// Whether the first thing in the body is a tag. Neither events nor JSON begin so.
pub(crate) fn looks_like_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

fn plain_text(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return String::new() };
    text.chars().filter(|c| !c.is_control()).take(Fault::MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(dialect: Dialect, status: u16, body: &str) -> Error {
        Refusal::from_body(dialect, status, body.as_bytes(), None, None).into_error()
    }

    /// The kind of error that a status and body give, and whether it is tried again.
    fn check(dialect: Dialect, status: u16, body: &str, kind: &str, retried: bool) {
        let error = error(dialect, status, body);
        assert_eq!((error.kind(), error.is_retryable()), (kind, retried), "{status} {body}");
    }

    #[test]
    fn every_code_of_the_table_gives_its_error_as_text_and_as_number() {
        let rows = [
            ("500 1200 1230 1234 1120 1231", "upstream_error", true),
            ("1110 1111 1112 1121 1212 1220 1221 1309 1311 1313", "upstream_error", false),
            ("1000 1001 1002 1003 1004 1100", "upstream_unauthorized", false),
            ("1113 1304 1308 1310", "upstream_quota_exhausted", false),
            ("1210 1213 1214 1215", "bad_request", false),
            ("1211 1222", "model_not_found", false),
            ("1261", "context_length_exceeded", false),
            ("1300 1301", "content_filter", false),
            ("1302 1303 1305 1312", "upstream_rate_limited", true),
        ];
        for (codes, kind, retried) in rows {
            for code in codes.split(' ') {
                for status in [200, 400, 429, 500] {
                    let text = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
                    check(Dialect::OpenAi, status, &text, kind, retried);
                    let number = format!(r#"{{"error":{{"code":{code},"message":"m"}}}}"#);
                    check(Dialect::OpenAi, status, &number, kind, retried);
                }
            }
        }
        let words = [
            ("INTERNAL_ERROR", "upstream_error", true),
            ("network_error", "upstream_error", true),
            ("MODEL_CONCURRENCY_LIMIT", "upstream_rate_limited", true),
            ("FRONTEND_CAPTCHA_REQUIRED", "upstream_captcha_required", false),
            ("invalid_api_key", "upstream_unauthorized", false),
            ("insufficient_quota", "upstream_quota_exhausted", false),
            ("rate_limit_exceeded", "upstream_rate_limited", true),
            ("model_not_found", "model_not_found", false),
            ("context_length_exceeded", "context_length_exceeded", false),
            ("content_filter", "content_filter", false),
        ];
        for (code, kind, retried) in words {
            for dialect in [Dialect::OpenAi, Dialect::ZaiWeb] {
                check(dialect, 200, &format!(r#"{{"error":{{"code":"{code}"}}}}"#), kind, retried);
            }
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for dialect in [Dialect::OpenAi, Dialect::ZaiWeb] {
            let detail = r#"{"detail":"m"}"#;
            check(dialect, 400, detail, "bad_request", false);
            check(dialect, 422, detail, "bad_request", false);
            check(dialect, 401, detail, "upstream_unauthorized", false);
            check(dialect, 402, detail, "upstream_quota_exhausted", false);
            check(dialect, 403, detail, "upstream_error", false);
            check(dialect, 404, detail, "upstream_error", false);
            check(dialect, 404, r#"{"detail":"no such Model"}"#, "model_not_found", false);
            check(dialect, 409, detail, "upstream_error", false);
            check(dialect, 429, detail, "upstream_rate_limited", true);
            check(dialect, 429, "", "upstream_rate_limited", true);
            check(dialect, 408, detail, "upstream_error", true);
            check(dialect, 425, detail, "upstream_error", true);
            check(dialect, 500, detail, "upstream_error", true);
            check(dialect, 502, "<html>", "upstream_error", true);
            check(dialect, 529, "", "upstream_error", true);
        }
    }

    #[test]
    fn a_429_with_a_code_of_its_own_is_only_tried_again_if_the_code_says_so() {
        check(Dialect::OpenAi, 429, r#"{"error":{"code":"4711"}}"#, "upstream_error", false);
        check(Dialect::OpenAi, 429, r#"{"error":{"code":429}}"#, "upstream_rate_limited", true);
    }

    #[test]
    fn a_code_inside_a_200_can_be_a_status() {
        check(Dialect::ZaiWeb, 200, r#"{"error":{"code":429}}"#, "upstream_rate_limited", true);
        check(Dialect::ZaiWeb, 200, r#"{"error":{"code":"401"}}"#, "upstream_unauthorized", false);
        check(Dialect::ZaiWeb, 200, r#"{"error":{"code":503}}"#, "upstream_error", true);
        check(Dialect::ZaiWeb, 200, r#"{"error":{"code":7}}"#, "upstream_error", false);
    }

    #[test]
    fn our_token_and_html_are_taken_out_of_the_upstreams_words() {
        let token = Token::given("sk-123").unwrap();
        let fault = Fault { code: None, message: "bad token sk-123!".into() };
        let error = Refusal::in_band(Dialect::OpenAi, fault, Some(&token)).into_error();
        assert_eq!(error.fault().unwrap().message, "bad token ****!");
        let error = self::error(Dialect::OpenAi, 500, r#"{"detail":" <html>secret</html>"}"#);
        assert_eq!((error.fault().unwrap().message.as_str(), error.body()), ("", ""));
    }

    #[test]
    fn status_and_body_are_kept_bounded_and_without_our_token_or_html() {
        let token = Token::given("sk-123").unwrap();
        let body = r#"{"error":{"code":"1302","message":"sk-123 is too fast"},"request_id":"r"}"#;
        let dialect = Dialect::OpenAi;
        let refusal = Refusal::from_body(dialect, 429, body.as_bytes(), None, Some(&token));
        let error = refusal.into_error();
        assert_eq!((error.status(), error.body()), (Some(429), &*body.replace("sk-123", "****")));
        let error = self::error(dialect, 500, &"é".repeat(MAX_BODY));
        assert_eq!((error.status(), error.body().len()), (Some(500), MAX_BODY));
        let error = self::error(dialect, 502, "<html>secret</html>");
        assert_eq!((error.status(), error.body()), (Some(502), ""));
    }
}
