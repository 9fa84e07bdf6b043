//! In whose shape an error is told.

use http::{Request, StatusCode};
use z2api_observability::RequestId;
use z2api_wire::anthropic::error::{ErrorBody, NO_THREADS};

use crate::error::ApiError;

/// Whose clients read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    OpenAi,
    Anthropic,
}

impl Shape {
    /// That of whoever asks: Anthropic's clients name the version of the API they speak, and all
    /// that asks at and below `/v1/messages` is taken for one.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let api = path.strip_prefix("/v1").unwrap_or(path);
        let below =
            api.strip_prefix("/messages").is_some_and(|r| r.is_empty() || r.starts_with('/'));
        match below || request.headers().contains_key("anthropic-version") {
            true => Self::Anthropic,
            false => Self::OpenAi,
        }
    }

    /// Writes an error of this request, as JSON.
    pub(crate) fn body(self, error: &ApiError, id: &RequestId) -> Vec<u8> {
        match self {
            Self::OpenAi => error.body(),
            Self::Anthropic => anthropics(error, id),
        }
    }

    /// How a key is sent.
    pub(crate) fn key_header(self) -> &'static str {
        match self {
            Self::OpenAi => "\"Authorization: Bearer YOUR_KEY\"",
            Self::Anthropic => "\"x-api-key: YOUR_KEY\" or \"Authorization: Bearer YOUR_KEY\"",
        }
    }
}

fn anthropics(error: &ApiError, id: &RequestId) -> Vec<u8> {
    let message = match &error.param {
        Some(param) => error.message.replace(&format!("`{param}`"), &dotted(param)),
        None => error.message.to_string(),
    };
    let mut body = ErrorBody::new(error.status.as_u16(), &message, id.as_str());
    if error.param.as_deref() == Some("thread") && error.status == StatusCode::BAD_REQUEST {
        body = body.because(NO_THREADS);
    }
    serde_json::to_vec(&body).expect("an error is JSON")
}

/// Anthropic's way of a path: `messages.1.content.0`.
fn dotted(param: &str) -> String {
    format!("`{}`", param.replace('[', ".").replace(']', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_clients_are_known_by_the_path_or_the_version() {
        let shape = |path: &str, header: &str| {
            Shape::of(&Request::get(path).header(header, "2023-06-01").body(()).unwrap())
        };
        for path in ["/v1/messages", "/messages", "/v1/messages/count_tokens", "/v1/messages/x/y"] {
            assert_eq!(shape(path, "x"), Shape::Anthropic, "{path}");
        }
        for path in ["/v1/messagesx", "/v1/models", "/v1/chat/completions", "/"] {
            assert_eq!(shape(path, "x"), Shape::OpenAi, "{path}");
        }
        assert_eq!(shape("/v1/models", "anthropic-version"), Shape::Anthropic);
    }
}
