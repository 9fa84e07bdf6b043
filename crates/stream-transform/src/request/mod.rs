//! What a client asks, as what the upstream is asked.
//!
//! What changes the meaning of the answer and cannot be honoured is refused by name, with the way
//! out. What is only a hint is left out, and named.

mod hints;
mod messages;
mod options;
mod tools;

use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;
use z2api_wire::json::Unreadable;
use z2api_wire::names::Names;
use z2api_wire::openai::request::{ChatRequest, Stop, Thinking, ThinkingKind};

use crate::models::{Model, ModelTable};

const OFFICIAL: &str = "the official API can (set UPSTREAM_URL to it)";

/// What an upstream can do depends on more than its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The web chat: text, images, search.
    WebChat,
    /// The official API: tools, but none that is forced; JSON, but of no schema.
    Official,
    /// Another server of its shape, such as vLLM.
    Compatible,
}

impl Server {
    /// The dialect it speaks.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::WebChat => Dialect::ZaiWeb,
            Self::Official | Self::Compatible => Dialect::OpenAi,
        }
    }
}

/// A request in the upstream's terms.
#[derive(Debug)]
pub struct Understood {
    /// What is asked.
    pub chat: Chat,
    /// Words that end the answer, whether or not the upstream knows them.
    pub stop: Vec<String>,
    /// The fields that were left out, by the alphabet: hints that this upstream does not take.
    pub ignored: Vec<&'static str>,
}

/// Why a request cannot be asked of the upstream. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No model of this name.
    #[error(
        "The model `{0}` does not exist or you do not have access to it. GET /v1/models lists those that do."
    )]
    UnknownModel(String),
    /// A field whose value makes no sense.
    #[error("{why}")]
    Invalid {
        /// The field.
        param: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field that this upstream cannot honour.
    #[error("`{param}` cannot be honoured: {why}.")]
    Unsupported {
        /// The field.
        param: String,
        /// Why not, and the way out.
        why: String,
    },
}

impl From<Unreadable> for RequestError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Invalid { param: unreadable.param.unwrap_or_default(), why: unreadable.message }
    }
}

impl RequestError {
    /// The error with the field's name as its client knows it, here and in the sentence.
    fn renamed(self, names: &Names) -> Self {
        match self {
            Self::UnknownModel(name) => Self::UnknownModel(name),
            Self::Invalid { param, why } => {
                let own = names.of(&param);
                let why = why.replace(&format!("`{param}`"), &format!("`{own}`"));
                Self::Invalid { param: own, why }
            }
            Self::Unsupported { param, why } => Self::Unsupported { param: names.of(&param), why },
        }
    }
}

/// Writes the client's request in the upstream's terms.
///
/// What it tells, errors and hints, it tells by the names of the client's own API
/// ([`ChatRequest::names`]).
///
/// # Errors
/// [`RequestError`] for an unknown model, and for what would change the meaning of the answer.
pub fn chat_of(
    mut request: ChatRequest,
    models: &ModelTable,
    server: Server,
) -> Result<Understood, RequestError> {
    let names = std::mem::take(&mut request.names);
    let understood = understand(request, models, server);
    let mut understood = understood.map_err(|error| error.renamed(&names))?;
    let ignored = &mut understood.ignored;
    ignored.iter_mut().for_each(|name| *name = names.field(name));
    ignored.sort_unstable();
    ignored.dedup();
    Ok(understood)
}

fn understand(
    mut request: ChatRequest,
    models: &ModelTable,
    server: Server,
) -> Result<Understood, RequestError> {
    let model = models
        .get(&request.model)
        .ok_or_else(|| RequestError::UnknownModel(request.model.chars().take(100).collect()))?;
    options::check(&request, server)?;
    tools::modernise(&mut request, server)?;
    tools::check(&request, server)?;
    let search = searching(&request, model, models)?;
    let ignored = hints::ignored(&request, model, server);
    let effort = hints::effort(&request, model, server);
    let messages = messages::of(request.messages, model, server)?;
    let chat = Chat {
        model: model.upstream_id(server.dialect()).to_owned(),
        messages,
        thinking: thinks(model, request.thinking),
        clear_thinking: request.thinking.and_then(|thinking| thinking.clear_thinking),
        reasoning_effort: effort,
        search: search.search,
        mcp_servers: search.mcp_servers.clone(),
        temperature: request.temperature,
        top_p: request.top_p,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        stop: request.stop.map(Stop::into_words).unwrap_or_default(),
        // A choice among no tools means nothing.
        tool_choice: request.tool_choice.filter(|_| request.tools.is_some()),
        tools: request.tools,
        response_format: request.response_format,
        user: request.user,
    };
    let stop = chat.stop.iter().chain(&request.stop_here).cloned().collect();
    Ok(Understood { chat, stop, ignored })
}

/// A model that can do either does as the request says, and otherwise as its name says.
fn thinks(model: &Model, asked: Option<Thinking>) -> bool {
    match asked {
        Some(asked) if model.thinking_is_optional => asked.kind == ThinkingKind::Enabled,
        Some(_) | None => model.thinking,
    }
}

/// The model that says how to search: `web_search_options` asks for what the `-Search` variant of
/// the model does.
fn searching<'a>(
    request: &ChatRequest,
    model: &'a Model,
    models: &'a ModelTable,
) -> Result<&'a Model, RequestError> {
    if request.web_search_options.is_none() || model.search {
        return Ok(model);
    }
    let plain = model.name.strip_suffix("-Thinking").unwrap_or(&model.name);
    let variant = models.get(&format!("{plain}-Search")).filter(|variant| variant.search);
    match variant {
        Some(variant) => Ok(variant),
        None => {
            let why = format!("{} cannot search; ask a model with -Search in its name", model.name);
            unsupported("web_search_options", &why)
        }
    }
}

pub(crate) fn unsupported<T>(param: &str, why: &str) -> Result<T, RequestError> {
    Err(RequestError::Unsupported { param: param.to_owned(), why: why.to_owned() })
}

pub(crate) fn invalid<T>(param: &str, why: String) -> Result<T, RequestError> {
    Err(RequestError::Invalid { param: param.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use z2api_wire::openai::request::Role;

    use super::*;

    fn ask(fields: &str, dialect: Dialect) -> Result<Chat, RequestError> {
        understand(fields, server(dialect)).map(|understood| understood.chat)
    }

    fn server(dialect: Dialect) -> Server {
        match dialect {
            Dialect::ZaiWeb => Server::WebChat,
            Dialect::OpenAi => Server::Official,
        }
    }

    fn understand(fields: &str, server: Server) -> Result<Understood, RequestError> {
        let json = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{fields}}}"#);
        let request = serde_json::from_str(&json).expect("a request");
        chat_of(request, &ModelTable::built_in(), server)
    }

    #[test]
    fn the_model_table_says_what_is_asked() {
        let chat = ask(r#""model":"GLM-4.5-Search""#, Dialect::ZaiWeb).unwrap();
        assert_eq!(chat.model, "0727-360B-API");
        assert!(chat.thinking && chat.search);
        let chat = ask(r#""model":"glm-4.5-thinking""#, Dialect::OpenAi).unwrap();
        assert_eq!((chat.model.as_str(), chat.thinking), ("glm-4.5", true));
    }

    #[test]
    fn a_request_can_switch_the_thinking_of_a_model_that_can_do_either() {
        let thinks = |model: &str, kind: &str| {
            let fields = format!(r#""model":"{model}","thinking":{{"type":"{kind}"}}"#);
            ask(&fields, Dialect::OpenAi).unwrap().thinking
        };
        assert!(thinks("GLM-4.5", "enabled") && !thinks("GLM-4.5-Thinking", "disabled"));
        assert!(thinks("Z1-32B", "disabled"), "it always thinks");
        assert!(!thinks("GLM-4-32B", "enabled"), "it never does");
    }

    #[test]
    fn how_to_think_is_handed_on() {
        let thinking = r#""thinking":{"type":"enabled","clear_thinking":false}"#;
        let fields = format!(r#""model":"GLM-5.2",{thinking},"reasoning_effort":"high""#);
        let chat = ask(&fields, Dialect::OpenAi).unwrap();
        assert_eq!(
            (chat.clear_thinking, chat.reasoning_effort.as_deref()),
            (Some(false), Some("high"))
        );
    }

    #[test]
    fn the_newer_name_of_the_token_limit_wins() {
        let fields = r#""model":"GLM-4.5","max_tokens":5,"max_completion_tokens":7"#;
        assert_eq!(ask(fields, Dialect::OpenAi).unwrap().max_tokens, Some(7));
    }

    #[test]
    fn an_unknown_model_is_refused() {
        let refused = ask(r#""model":"gpt-4""#, Dialect::OpenAi).unwrap_err();
        assert_eq!(refused, RequestError::UnknownModel("gpt-4".into()));
    }

    const TOOL: &str = r#"{"type":"function","function":{"name":"f","parameters":{}}}"#;

    fn check_refused(fields: &str, server: Server, param: &str, says: &str) {
        let fields = format!(r#""model":"GLM-4.5",{fields}"#);
        let error = understand(&fields, server).expect_err("a refusal");
        let (RequestError::Invalid { param: found, .. }
        | RequestError::Unsupported { param: found, .. }) = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(found, param, "{fields}: {error}");
        assert!(error.to_string().contains(says), "{fields}: {error}");
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name_with_a_way_out() {
        use Server::{Official, WebChat};
        check_refused(r#""n":2"#, Official, "n", "several requests");
        check_refused(r#""logprobs":true"#, Official, "logprobs", "leave it out");
        check_refused(r#""top_logprobs":2"#, Official, "top_logprobs", "leave it out");
        check_refused(r#""modalities":["text","audio"]"#, Official, "modalities", "text only");
        let tools = format!(r#""tools":[{TOOL}]"#);
        for choice in [r#""required""#, r#"{"type":"function","function":{"name":"f"}}"#] {
            let fields = format!(r#"{tools},"tool_choice":{choice}"#);
            check_refused(&fields, Official, "tool_choice", "send \"auto\"");
        }
        let schema = r#""response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#;
        check_refused(schema, Official, "response_format", "json_object");
        check_refused(&tools, WebChat, "tools", "official API");
        check_refused(r#""functions":[{"name":"f"}]"#, WebChat, "functions", "official API");
        check_refused(r#""tool_choice":"required""#, WebChat, "tool_choice", "official API");
        check_refused(schema, WebChat, "response_format", "official API");
        let object = r#""response_format":{"type":"json_object"}"#;
        check_refused(object, WebChat, "response_format", "official API");
        let fields = r#""function_call":{"name":"f"},"functions":[{"name":"f"}]"#;
        check_refused(fields, Official, "function_call", "in `functions`");
    }

    #[test]
    fn another_server_of_the_apis_shape_is_sent_what_it_may_be_able_to() {
        let fields = format!(
            r#""model":"GLM-4.5","tools":[{TOOL}],"tool_choice":"required",
            "response_format":{{"type":"json_schema","json_schema":{{}}}},"reasoning_effort":"x""#
        );
        let chat = understand(&fields, Server::Compatible).unwrap().chat;
        assert!(chat.tool_choice.is_some() && chat.response_format.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_path() {
        use Server::Official;
        check_refused(r#""temperature":-1"#, Official, "temperature", "between 0 and 2");
        check_refused(r#""top_p":1.5"#, Official, "top_p", "between 0 and 1");
        check_refused(r#""max_tokens":0"#, Official, "max_tokens", "at least 1");
        check_refused(r#""stop":["a",""]"#, Official, "stop", "empty");
        check_refused(r#""stop":["a","b","c","d","e"]"#, Official, "stop", "at most 4");
        check_refused(r#""n":0"#, Official, "n", "must be 1");
        check_refused(r#""tools":{}"#, Official, "tools", "an array");
        check_refused(
            r#""tools":[{"function":{}}]"#,
            Official,
            "tools[0].function.name",
            "missing",
        );
        check_refused(r#""tools":[{"type":"function"}]"#, Official, "tools[0].function", "missing");
        check_refused(r#""tools":[{"type":"custom"}]"#, Official, "tools[0].type", "function");
        let twice = format!(r#""tools":[{TOOL},{TOOL}]"#);
        check_refused(&twice, Official, "tools[1].function.name", "earlier");
        let named = |name: &str| {
            format!(r#""tools":[{{"type":"function","function":{{"name":"{name}"}}}}]"#)
        };
        check_refused(&named("no spaces"), Official, "tools[0].function.name", "letters");
        check_refused(r#""tool_choice":"some""#, Official, "tool_choice", "must be");
        check_refused(
            r#""response_format":{"type":"xml"}"#,
            Official,
            "response_format.type",
            "must be",
        );
        check_refused(r#""response_format":{}"#, Official, "response_format.type", "missing");
        check_refused(r#""functions":[{}]"#, Official, "functions[0].name", "missing");
    }

    #[test]
    fn turns_of_tools_are_checked_by_their_path() {
        let check = |message: &str, param: &str| {
            let json = format!(
                r#"{{"model":"GLM-4.5","messages":[{{"role":"user","content":"a"}},{message}]}}"#
            );
            let request = serde_json::from_str(&json).expect(message);
            let refused = chat_of(request, &ModelTable::built_in(), Server::Official);
            let (Err(RequestError::Invalid { param: found, .. })
            | Err(RequestError::Unsupported { param: found, .. })) = refused
            else {
                panic!("{message}: {refused:?}")
            };
            assert_eq!(found, param, "{message}");
        };
        check(r#"{"role":"tool","content":"x"}"#, "messages[1].tool_call_id");
        check(r#"{"role":"function","name":"f","content":"x"}"#, "messages[1].role");
        check(r#"{"role":"user","content":[]}"#, "messages[1].content");
        check(r#"{"role":"assistant","content":null}"#, "messages[1].content");
        check(r#"{"role":"assistant","audio":{"id":"a"}}"#, "messages[1].audio");
        let call = |call: &str| format!(r#"{{"role":"assistant","tool_calls":[{call}]}}"#);
        check(&call("{}"), "messages[1].tool_calls[0].id");
        check(
            &call(r#"{"id":"a","function":{"name":"f"}}"#),
            "messages[1].tool_calls[0].function.arguments",
        );
        check(
            &call(r#"{"id":"a","function":{"name":"f","arguments":{}}}"#),
            "messages[1].tool_calls[0].function.arguments",
        );
        check(
            &call(r#"{"id":"a","type":"custom","function":{"name":"f","arguments":""}}"#),
            "messages[1].tool_calls[0].type",
        );
        let image = r#"{"role":"user","content":[{"type":"image_url","image_url":"data:x"}]}"#;
        check(image, "messages[1].content[0]");
    }

    #[test]
    fn the_oldest_form_of_tools_becomes_the_newer() {
        let json = r#"{"model":"GLM-4.5","functions":[{"name":"f"}],"function_call":"auto",
            "messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"5"}]}"#;
        let request = serde_json::from_str(json).unwrap();
        let chat = chat_of(request, &ModelTable::built_in(), Server::Official).unwrap().chat;
        assert_eq!(chat.tools.unwrap().get(), r#"[{"type":"function","function":{"name":"f"}}]"#);
        assert_eq!(chat.tool_choice.unwrap().get(), r#""auto""#);
        let turns = serde_json::to_string(&chat.messages[1..]).unwrap();
        let call =
            r#"[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
        let expected = format!(
            r#"[{{"role":"assistant","tool_calls":{call}}},{{"role":"tool","content":"5","tool_call_id":"call_1"}}]"#
        );
        assert_eq!(turns, expected);
    }

    #[test]
    fn what_an_assistant_refused_or_only_thought_is_a_turn() {
        let json = r#"{"model":"GLM-4.5","messages":[{"role":"assistant","refusal":"no"},
            {"role":"assistant","reasoning_content":"hm"},{"role":"user","content":"a"}]}"#;
        let request = serde_json::from_str(json).unwrap();
        let chat = chat_of(request, &ModelTable::built_in(), Server::Official).unwrap().chat;
        let turns = serde_json::to_string(&chat.messages[..2]).unwrap();
        assert_eq!(
            turns,
            r#"[{"role":"assistant","content":"no"},{"role":"assistant","content":"","reasoning_content":"hm"}]"#
        );
    }

    #[test]
    fn hints_are_left_out_and_named_unless_they_ask_for_nothing() {
        let ignored = |fields: &str, server| {
            let fields = format!(r#""model":"GLM-4.5",{fields}"#);
            understand(&fields, server).expect(&fields).ignored
        };
        let hints = r#""audio":{"voice":"x"},"frequency_penalty":0.5,"logit_bias":{"1":2},
            "metadata":{"a":"b"},"parallel_tool_calls":false,"prediction":{"type":"content"},
            "presence_penalty":-1,"prompt_cache_key":"k","reasoning_effort":"high",
            "safety_identifier":"s","seed":7,"service_tier":"flex","store":true,"user":"me",
            "verbosity":"low""#;
        let names = [
            "audio",
            "frequency_penalty",
            "logit_bias",
            "metadata",
            "parallel_tool_calls",
            "prediction",
            "presence_penalty",
            "prompt_cache_key",
            "reasoning_effort",
            "safety_identifier",
            "seed",
            "service_tier",
            "store",
            "user",
            "verbosity",
        ];
        assert_eq!(ignored(hints, Server::Official), names);
        let nothing = r#""frequency_penalty":0,"logit_bias":{},"metadata":null,"store":false,
            "parallel_tool_calls":true,"service_tier":"auto","n":1,"logprobs":false,
            "modalities":["text"],"tools":[],"tool_choice":"auto","stop":[],
            "response_format":{ "type": "text" },"unknown":{"deep":[1]}"#;
        for server in [Server::Official, Server::Compatible, Server::WebChat] {
            assert_eq!(ignored(nothing, server), [""; 0]);
        }
        assert_eq!(ignored(r#""user":"longer""#, Server::Official), [""; 0]);
        assert_eq!(ignored(r#""user":"longer""#, Server::WebChat), ["user"]);
    }

    #[test]
    fn a_model_thinks_as_long_as_it_is_asked_in_its_own_words() {
        let effort = |model: &str, effort: &str| {
            let fields = format!(r#""model":"{model}","reasoning_effort":"{effort}""#);
            understand(&fields, Server::Official).unwrap().chat.reasoning_effort
        };
        assert_eq!(effort("GLM-5.3-Thinking", "high").as_deref(), Some("high"));
        assert_eq!(effort("GLM-5.3-Thinking", "medium"), None, "not one of its words");
        assert_eq!(effort("GLM-5.3", "high"), None, "it does not think");
        assert_eq!(effort("GLM-4.6-Thinking", "high"), None, "it takes none");
    }

    #[test]
    fn a_search_can_be_asked_for_beside_the_name() {
        let search = |model: &str| {
            let fields = format!(r#""model":"{model}","web_search_options":{{}}"#);
            understand(&fields, Server::WebChat).map(|u| (u.chat.thinking, u.chat.mcp_servers))
        };
        assert_eq!(search("GLM-4.5").unwrap(), (false, vec!["deep-web-search".to_owned()]));
        assert!(search("GLM-4.5-Thinking").unwrap().0);
        assert!(matches!(
            search("GLM-4.5V"),
            Err(RequestError::Unsupported { param, .. }) if param == "web_search_options"
        ));
    }

    #[test]
    fn developers_speak_as_the_system() {
        let json = r#"{"model":"GLM-4.5","messages":[{"role":"developer","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#;
        let request = serde_json::from_str(json).unwrap();
        let chat = chat_of(request, &ModelTable::built_in(), Server::WebChat).unwrap().chat;
        assert_eq!(chat.messages[0].role, Role::System);
        let parts = serde_json::to_string(&chat.messages[1]).unwrap();
        assert!(parts.contains(r#""text":"a"#) && parts.contains(r#""text":"b"#));
    }
}
