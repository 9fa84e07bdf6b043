//! The official, OpenAI-compatible API: how a chat is written for it.
//!
//! Facts from the public documentation (docs.z.ai, "chat completion"): one stop word only,
//! `thinking` as an object, web search as a tool, `user_id` of 6 to 128 characters, a `request_id`
//! that no request has had before; temperatures up to 1, and none at all without `do_sample`.

use ::http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use z2api_wire::chat::Chat;
use z2api_wire::openai::request::Message;

use crate::dialect::Outgoing;
use crate::error::Error;

pub(super) fn request(chat: &Chat) -> Result<Outgoing, Error> {
    let user = |user: &&str| (6..=128).contains(&user.chars().count());
    // "none" is the one choice beside "auto" that the upstream can be held to: by no tools.
    let no_tools = chat.tool_choice.as_deref().is_some_and(|choice| choice.get() == "\"none\"");
    let given = if no_tools { Vec::new() } else { given_tools(chat)? };
    let body = Body {
        model: &chat.model,
        messages: &chat.messages,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        thinking: Thinking {
            kind: if chat.thinking { "enabled" } else { "disabled" },
            clear_thinking: chat.clear_thinking,
        },
        reasoning_effort: chat.reasoning_effort.as_deref().filter(|_| weighs_effort(&chat.model)),
        do_sample: is_greedy(chat).then_some(false),
        temperature: chat.temperature.map(|temperature| temperature.clamp(LEAST, 1.0)),
        top_p: chat.top_p.map(|top_p| top_p.clamp(LEAST, 1.0)),
        max_tokens: chat.max_tokens,
        stop: chat.stop.first().map(|word| [word.as_str()]),
        tool_stream: !given.is_empty() && streams_tools(&chat.model),
        tools: with_search(given, chat),
        tool_choice: chat.tool_choice.as_deref().filter(|_| !no_tools),
        response_format: chat.response_format.as_deref(),
        user_id: chat.user.as_deref().filter(user),
        request_id: Uuid::new_v4().to_string(),
    };
    let body = serde_json::to_vec(&body).map_err(|error| {
        Error::unsent(None, format!("the request cannot be written as JSON: {error}"))
    })?;
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
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    do_sample: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tool_stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    request_id: String,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clear_thinking: Option<bool>,
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
    /// Whether to tell what was found.
    search_result: bool,
}

/// The client's tools.
fn given_tools(chat: &Chat) -> Result<Vec<&RawValue>, Error> {
    let given: Option<Vec<&RawValue>> = match &chat.tools {
        Some(tools) => serde_json::from_str(tools.get())
            .map_err(|_| Error::unsent(None, "tools must be an array"))?,
        None => None,
    };
    Ok(given.unwrap_or_default())
}

fn with_search<'a>(given: Vec<&'a RawValue>, chat: &Chat) -> Vec<Tool<'a>> {
    let mut tools: Vec<_> = given.into_iter().map(Tool::Given).collect();
    if chat.search {
        let web_search = WebSearch { enable: true, search_result: true };
        tools.push(Tool::Search { kind: "web_search", web_search });
    }
    tools
}

/// The least temperature and the least share that are taken. OpenAI's clients may ask for up to 2.
const LEAST: f64 = 0.01;

/// A temperature of 0 means: no sampling.
fn is_greedy(chat: &Chat) -> bool {
    chat.temperature.is_some_and(|temperature| temperature <= 0.0)
}

/// Whether a model sends the arguments of a tool call in pieces if asked to (`tool_stream`):
/// GLM-4.6 and later. Others send them in one piece, and may not know the parameter.
fn streams_tools(model: &str) -> bool {
    version_of(model).is_some_and(|version| version >= (4, 6))
}

/// Whether a model knows `reasoning_effort`: GLM-5.2 and later.
fn weighs_effort(model: &str) -> bool {
    version_of(model).is_some_and(|version| version >= (5, 2))
}

/// 4.6 of `GLM-4.6V-Flash`.
fn version_of(model: &str) -> Option<(u32, u32)> {
    let name = model.to_ascii_lowercase();
    let version = name.strip_prefix("glm-")?.split(['-', ':']).next()?.trim_end_matches('v');
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The request but for its id.
    fn written(chat: &Chat) -> Value {
        let mut body: Value = serde_json::from_slice(&request(chat).unwrap().body).unwrap();
        assert!(body.as_object_mut().unwrap().remove("request_id").unwrap().is_string());
        body
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
        let search =
            json!({"type": "web_search", "web_search": {"enable": true, "search_result": true}});
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
    fn tool_calls_come_in_pieces_where_the_model_can() {
        for (model, streams) in [
            ("glm-4.6", true),
            ("GLM-4.7-flash", true),
            ("glm-4.6v", true),
            ("glm-5", true),
            ("glm-4.5", false),
            ("glm-4.5-air", false),
            ("glm-4-32b", false),
            ("other-9", false),
        ] {
            let mut chat = Chat::ask(model, "hi");
            assert!(written(&chat).get("tool_stream").is_none(), "{model} without tools");
            chat.tools = raw(r#"[{"type":"function"}]"#);
            let written = written(&chat);
            assert_eq!(written.get("tool_stream").is_some_and(|on| on == true), streams, "{model}");
        }
    }

    #[test]
    fn no_tool_choice_means_no_tools_but_the_search() {
        let mut chat = Chat::ask("m", "hi");
        chat.tools = raw(r#"[{"type":"function"}]"#);
        chat.tool_choice = raw(r#""none""#);
        assert!(
            written(&chat).get("tools").is_none() && written(&chat).get("tool_choice").is_none()
        );
        chat.search = true;
        assert_eq!(written(&chat)["tools"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn images_are_passed_through() {
        let parts = json!([
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": "https://host/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]);
        let mut chat = Chat::ask("glm-4.5v", "");
        let message = json!({"role": "user", "content": parts});
        chat.messages = vec![serde_json::from_value(message.clone()).unwrap()];
        assert_eq!(written(&chat)["messages"], json!([message]));
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

    #[test]
    fn each_request_has_an_id_of_its_own() {
        let id = || {
            let body = request(&Chat::ask("m", "hi")).unwrap().body;
            serde_json::from_slice::<Value>(&body).unwrap()["request_id"].clone()
        };
        assert_ne!(id(), id());
        assert!(id().as_str().unwrap().len() >= 6);
    }

    #[test]
    fn sampling_is_kept_within_what_the_upstream_takes() {
        let sampling = |temperature, top_p| {
            let mut chat = Chat::ask("m", "hi");
            (chat.temperature, chat.top_p) = (temperature, top_p);
            let body = written(&chat);
            ["do_sample", "temperature", "top_p"].map(|name| body[name].clone())
        };
        assert_eq!(sampling(None, None), [json!(null), json!(null), json!(null)]);
        assert_eq!(sampling(Some(0.0), None), [json!(false), json!(0.01), json!(null)]);
        assert_eq!(sampling(Some(0.6), Some(0.95)), [json!(null), json!(0.6), json!(0.95)]);
        assert_eq!(sampling(Some(1.0), Some(1.0)), [json!(null), json!(1.0), json!(1.0)]);
        assert_eq!(sampling(Some(2.0), Some(0.0)), [json!(null), json!(1.0), json!(0.01)]);
    }

    #[test]
    fn thinking_is_kept_or_cleared_and_weighed_where_the_model_can() {
        let mut chat = Chat::ask("glm-5.2", "hi");
        chat.thinking = true;
        chat.clear_thinking = Some(false);
        chat.reasoning_effort = Some("high".to_owned());
        let body = written(&chat);
        assert_eq!(body["thinking"], json!({"type": "enabled", "clear_thinking": false}));
        assert_eq!(body["reasoning_effort"], "high");
        for older in ["glm-4.7", "glm-5", "glm-5.1", "other"] {
            older.clone_into(&mut chat.model);
            assert!(written(&chat).get("reasoning_effort").is_none(), "{older}");
        }
    }
}
