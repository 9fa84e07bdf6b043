//! From a request's head and body to what is asked of the upstream.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::HeaderValue;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use tokio::time::Instant;
use z2api_admission::Share;
use z2api_observability::{Asked, RequestRecord};
use z2api_stream_transform::{AnswerId, Options, Server, ThinkMode, Understood, chat_of};
use z2api_upstream_client::Client;
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;
use z2api_wire::openai::request::ChatRequest;

use crate::api::{Api, Asker};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::excerpts::last_messages;
use crate::feedback::Feedback;
use crate::intake;
use crate::live::Live;
use crate::memory::Lease;

/// A request that has been read and understood.
pub(crate) struct Question<A> {
    pub(crate) api: A,
    pub(crate) chat: Chat,
    pub(crate) options: Options,
    pub(crate) id: AnswerId,
    pub(crate) stream: bool,
    /// Names of fields that were left out.
    pub(crate) ignored: Option<HeaderValue>,
    pub(crate) caller: z2api_admission::Caller,
    pub(crate) feedback: Feedback,
    /// Room for all of this.
    pub(crate) lease: Lease,
    /// Bytes of the body, and of what it goes on from.
    pub(crate) size: usize,
}

/// Everything else before the request may cost something: whether there is room, and what is
/// asked.
pub(crate) async fn ask<A: Api>(
    app: &App,
    live: &Live,
    caller: &Caller,
    request: Request<Incoming>,
    record: &mut RequestRecord,
) -> Result<(Box<Question<A>>, Share), ApiError> {
    let share = app.admission.share(&caller.in_admission())?;
    if app.memory.is_short() {
        return Err(ApiError::out_of_memory());
    }
    let headers = request.headers().clone();
    let begun = Instant::now();
    let (body, mut lease) = intake::read(request, live, &app.memory).await?;
    record.tries().body(begun.elapsed());
    let size = body.len();
    let request = intake::parse(body).await?;
    let (store, request_id) = (&app.responses, record.id());
    let mut asker = Asker { caller, request_id, store, lease: &mut lease, size };
    let (request, api) = A::read(request, &mut asker)?;
    let size = asker.size;
    record.asked(asked(&request, live.log.messages));
    let mode = A::mode(think_mode(&request, &headers)?.unwrap_or(live.think_mode));
    let dialect = live.client.dialect();
    record.manner(live.dialect(), mode.as_str());
    if let Some(model) = live.models.get(&request.model) {
        record.model(&model.name);
    }
    let stream = request.stream.unwrap_or(false);
    let id = AnswerId {
        id: format!("{}{:032x}", A::ID_PREFIX, rand::random::<u128>()),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        model: request.model.clone(),
    };
    if live.models.get(&request.model).is_some_and(|model| !caller.may_ask(&model.name)) {
        return Err(ApiError::model_not_allowed());
    }
    let Understood { chat, stop, ignored } =
        chat_of(request, &live.models, server_of(&live.client))?;
    let mut options = Options::new(dialect, mode);
    options.stop = stop;
    options.salt = rand::random();
    let ignored = header_of(&ignored);
    let feedback = Feedback::new(&app.admission, record, &id.model, size);
    let caller = caller.in_admission();
    let question =
        Question { api, chat, options, id, stream, ignored, caller, feedback, lease, size };
    Ok((Box::new(question), share))
}

fn asked(request: &ChatRequest, with_messages: bool) -> Asked {
    let messages = with_messages.then(|| last_messages(&request.messages));
    Asked {
        model: request.model.chars().take(100).collect(),
        message_count: request.messages.len(),
        stream: request.stream.unwrap_or(false),
        temperature: request.temperature,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        messages,
    }
}

/// The thinking mode this request asks for; the body's field wins over the header.
fn think_mode(request: &ChatRequest, headers: &HeaderMap) -> Result<Option<ThinkMode>, ApiError> {
    const HEADER: &str = "x-z2api-think-mode";
    let read = |name: &str, word: &str| {
        word.parse::<ThinkMode>()
            .map(Some)
            .map_err(|error| ApiError::invalid(Some(name), format!("`{name}` {error}.")))
    };
    match (&request.reasoning_format, headers.get(HEADER)) {
        (Some(word), _) => read("reasoning_format", word),
        (None, Some(word)) => read(HEADER, word.to_str().unwrap_or_default()),
        (None, None) => Ok(None),
    }
}

fn server_of(client: &Client) -> Server {
    match client.dialect() {
        Dialect::ZaiWeb => Server::WebChat,
        Dialect::OpenAi if client.is_official() => Server::Official,
        Dialect::OpenAi => Server::Compatible,
    }
}

/// The names in one header, if there are any.
fn header_of(names: &[&'static str]) -> Option<HeaderValue> {
    HeaderValue::from_str(&names.join(", ")).ok().filter(|_| !names.is_empty())
}
