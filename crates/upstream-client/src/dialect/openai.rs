//! The official, OpenAI-compatible API: how a chat is written for it.
//!
//! Facts from the public documentation (docs.z.ai, "chat completion"): one stop word only,
//! `thinking` as an object, web search as a tool, `user_id` of 6 to 128 characters.

use ::http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use z2api_wire::chat::Chat;
use z2api_wire::fault::Fault;
use z2api_wire::openai::request::Message;

use crate::dialect::Outgoing;
use crate::error::Error;

pub(super) fn request(chat: &Chat) -> Result<Outgoing, Error> {
    let user = |user: &&str| (6..=128).contains(&user.chars().count());
    let body = Body {
        model: &chat.model,
        messages: &chat.messages,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        thinking: Thinking { kind: if chat.thinking { "enabled" } else { "disabled" } },
        temperature: chat.temperature,
        top_p: chat.top_p,
        max_tokens: chat.max_tokens,
        stop: chat.stop.first().map(|word| [word.as_str()]),
        tools: tools(chat)?,
        tool_choice: chat.tool_choice.as_deref(),
        response_format: chat.response_format.as_deref(),
        user_id: chat.user.as_deref().filter(user),
    };
    let body = serde_json::to_vec(&body)
        .map_err(|error| bad(format!("the request cannot be written as JSON: {error}")))?;
    Ok(Outgoing { headers: HeaderMap::new(), body })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    stream_options: StreamOptions,
    thinking: Thinking,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tool<'a> {
    /// One of the client's, untouched.
    Given(&'a RawValue),
    /// The upstream's own search.
    Search {
        #[serde(rename = "type")]
        kind: &'static str,
        web_search: WebSearch,
    },
}

#[derive(Serialize)]
struct WebSearch {
    enable: bool,
}

fn tools(chat: &Chat) -> Result<Vec<Tool<'_>>, Error> {
    let given: Option<Vec<&RawValue>> = match &chat.tools {
        Some(tools) => serde_json::from_str(tools.get())
            .map_err(|_| bad("tools must be an array".to_owned()))?,
        None => None,
    };
    let mut tools: Vec<_> = given.unwrap_or_default().into_iter().map(Tool::Given).collect();
    if chat.search {
        tools.push(Tool::Search { kind: "web_search", web_search: WebSearch { enable: true } });
    }
    Ok(tools)
}

fn bad(message: String) -> Error {
    Error::BadRequest { status: None, fault: Fault { code: None, message } }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(chat: &Chat) -> Value {
        serde_json::from_slice(&request(chat).unwrap().body).unwrap()
    }

    fn raw(json: &str) -> Option<Box<RawValue>> {
        Some(RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn a_plain_question_holds_nothing_that_was_not_asked_for() {
        let expected = json!({
            "model": "glm-4.5",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "thinking": {"type": "disabled"},
        });
        assert_eq!(written(&Chat::ask("glm-4.5", "hi")), expected);
    }

    #[test]
    fn search_joins_the_clients_tools() {
        let mut chat = Chat::ask("m", "hi");
        chat.search = true;
        let search = json!({"type": "web_search", "web_search": {"enable": true}});
        assert_eq!(written(&chat)["tools"], json!([search]));
        chat.tools = raw(r#"[{"type":"function","function":{"name":"f"}}]"#);
        let given = json!({"type": "function", "function": {"name": "f"}});
        assert_eq!(written(&chat)["tools"], json!([given, search]));
        chat.search = false;
        assert_eq!(written(&chat)["tools"], json!([given]));
    }

    #[test]
    fn tools_that_are_no_list_are_the_callers_mistake() {
        let mut chat = Chat::ask("m", "hi");
        chat.tools = raw(r#"{"type":"function"}"#);
        assert_eq!(request(&chat).err().unwrap().kind(), "bad_request");
        chat.tools = raw("null");
        assert!(written(&chat).get("tools").is_none());
    }

    #[test]
    fn the_upstream_gets_what_it_takes() {
        let mut chat = Chat::ask("m", "hi");
        chat.thinking = true;
        chat.stop = vec!["a".to_owned(), "b".to_owned()];
        chat.temperature = Some(0.5);
        chat.tool_choice = raw(r#""auto""#);
        chat.response_format = raw(r#"{"type":"json_object"}"#);
        chat.user = Some("short".to_owned());
        let body = written(&chat);
        assert_eq!(body["thinking"], json!({"type": "enabled"}));
        assert_eq!(body["stop"], json!(["a"]));
        assert_eq!(body["temperature"], 0.5);
        assert_eq!(body["tool_choice"], "auto");
        assert_eq!(body["response_format"], json!({"type": "json_object"}));
        assert!(body.get("user_id").is_none());
        chat.user = Some("longer".to_owned());
        assert_eq!(written(&chat)["user_id"], "longer");
    }
}
