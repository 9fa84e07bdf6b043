//! What traces are told of a request: how it came, what the upstream is asked for it, and by what
//! name the upstream answers.

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Request, Version};
use serde::Deserialize;
use z2api_observability::{AnswerName, Came, ModelCall, RequestRecord, Tracer};
use z2api_upstream_client::{Client, Named};
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;

/// A longer name is no host's: the limit of DNS, in bytes.
const MAX_HOST: usize = 253;
/// So much of a `tracestate` is taken, in bytes: what W3C's Trace Context asks to pass on at least.
/// Spans wait in memory, and carry it.
const MAX_STATE: usize = 512;

/// The request is traced, under its caller's span if it names one.
pub(crate) fn trace<B>(
    tracer: &Tracer,
    encrypted: bool,
    request: &Request<B>,
    record: &mut RequestRecord,
) {
    let headers = request.headers();
    // More than one says nothing for certain, and none is taken.
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next().filter(|_| parents.next().is_none());
    let parent = parent.and_then(|parent| parent.to_str().ok());
    record.trace(tracer.clone(), came(encrypted, request), parent, state(headers).as_deref());
}

/// It may come in several headers, which are then one list. Of one that is too long the last members
/// are left out: those that are oldest.
fn state(headers: &HeaderMap) -> Option<String> {
    let states = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok());
    let mut taken = String::new();
    for member in states.flat_map(|state| state.split(',')).map(str::trim) {
        if member.is_empty() {
            continue;
        }
        if taken.len() + 1 + member.len() > MAX_STATE {
            break;
        }
        if !taken.is_empty() {
            taken.push(',');
        }
        taken.push_str(member);
    }
    (!taken.is_empty()).then_some(taken)
}

fn came<B>(encrypted: bool, request: &Request<B>) -> Came {
    let (scheme, usual) = if encrypted { ("https", 443) } else { ("http", 80) };
    let named = request.headers().get(HOST);
    let named = named.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let asked = request.uri().authority().cloned().or(named);
    let host = asked.filter(|asked| asked.host().len() <= MAX_HOST).map(|asked| {
        let name = asked.host().trim_matches(['[', ']']).to_owned();
        (name, asked.port_u16().unwrap_or(usual))
    });
    Came { scheme, version: version(request.version()), host }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _other => "1.1",
    }
}

/// What the upstream is asked.
pub(crate) fn call(client: &Client, chat: &Chat) -> ModelCall {
    ModelCall {
        provider: provider(client),
        url: client.url(),
        model: chat.model.clone(),
        max_tokens: chat.max_tokens,
        temperature: chat.temperature,
        top_p: chat.top_p,
        reasoning_level: chat.reasoning_effort.clone(),
        output_type: output_type(chat),
    }
}

/// The conventions have no word for Z.ai. Another server of OpenAI's shape is named by that: what
/// stands behind it is not known.
fn provider(client: &Client) -> &'static str {
    match client.dialect() {
        Dialect::ZaiWeb => "z.ai",
        Dialect::OpenAi if client.is_official() => "z.ai",
        Dialect::OpenAi => "openai",
    }
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

fn output_type(chat: &Chat) -> Option<&'static str> {
    let form = serde_json::from_str::<Form<'_>>(chat.response_format.as_ref()?.get()).ok()?;
    Some(if form.kind == "text" { "text" } else { "json" })
}

/// What the upstream calls its answer.
pub(crate) fn answer_name(named: Option<&Named>) -> AnswerName {
    let own = |name: &Option<Box<str>>| name.as_deref().map(str::to_owned);
    named.map_or_else(AnswerName::default, |named| AnswerName {
        id: own(&named.id),
        model: own(&named.model),
    })
}
