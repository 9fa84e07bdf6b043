//! An error as the upstream words it, found wherever it put it.

use serde_json::Value;

/// An error of the upstream, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// The upstream's code; a number is kept as its digits.
    pub code: Option<String>,
    /// The upstream's message, cut at [`Fault::MAX_MESSAGE`] characters. Never HTML.
    pub message: String,
}

impl Fault {
    /// The most characters of a message that are kept.
    pub const MAX_MESSAGE: usize = 500;

    /// Reads the body of an error answer. None if there is no message in it, or if it is no JSON.
    ///
    /// Looks, in this order, at `error`, `data.error`, `data.data.error`, `detail`, and
    /// `message`/`msg`; the upstream uses all of them, and writes codes as numbers or as strings.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        Self::from_value(&serde_json::from_slice(body).ok()?)
    }

    pub(crate) fn from_value(body: &Value) -> Option<Self> {
        [&body["error"], &body["data"]["error"], &body["data"]["data"]["error"]]
            .into_iter()
            .find_map(Self::from_error)
            .or_else(|| Self::from_error(&body["detail"]))
            .or_else(|| Self::from_fields(body))
    }

    /// Reads the error itself: an object of any known shape, or plain text.
    pub(crate) fn from_error(error: &Value) -> Option<Self> {
        match error {
            Value::String(text) if !text.is_empty() => {
                Some(Self { code: None, message: bounded(text) })
            }
            Value::Object(_) => Self::from_fields(error),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    fn from_fields(object: &Value) -> Option<Self> {
        let code = ["code", "error_code"].iter().find_map(|name| match &object[*name] {
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) if !text.is_empty() => Some(text.chars().take(64).collect()),
            _ => None,
        });
        let message = ["message", "detail", "msg"].iter().find_map(|name| match &object[*name] {
            Value::String(text) if !text.is_empty() => Some(bounded(text)),
            Value::Object(_) => Self::from_fields(&object[*name]).map(|fault| fault.message),
            _ => None,
        });
        match (code, message) {
            (None, None) => None,
            (code, message) => Some(Self { code, message: message.unwrap_or_default() }),
        }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(Fault::MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, code: Option<&str>, message: &str) {
        let fault = Fault::from_body(body.as_bytes()).expect("a fault");
        assert_eq!((fault.code.as_deref(), fault.message.as_str()), (code, message), "{body}");
    }

    #[test]
    fn an_error_is_found_wherever_the_upstream_puts_it() {
        check(r#"{"error":{"code":"1302","message":"slow down"}}"#, Some("1302"), "slow down");
        check(r#"{"error":{"code":1302,"message":"slow down"}}"#, Some("1302"), "slow down");
        check(r#"{"code":1113,"message":"in arrears"}"#, Some("1113"), "in arrears");
        check(r#"{"code":500,"msg":"oh"}"#, Some("500"), "oh");
        check(r#"{"detail":"not authenticated"}"#, None, "not authenticated");
        check(r#"{"detail":{"code":426,"message":"old"}}"#, Some("426"), "old");
        check(r#"{"data":{"error":{"code":426,"detail":"old"}}}"#, Some("426"), "old");
        check(r#"{"data":{"data":{"error":{"error_code":"X","detail":"y"}}}}"#, Some("X"), "y");
        check(r#"{"error":"plain"}"#, None, "plain");
    }

    #[test]
    fn what_is_no_error_is_none() {
        for body in ["<html>", "{}", "[]", "null", r#"{"error":null}"#, r#"{"error":{}}"#] {
            assert_eq!(Fault::from_body(body.as_bytes()), None, "{body}");
        }
    }
}
