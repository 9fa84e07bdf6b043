//! A chat request, in whichever API: key, body, slot, upstream, answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};
use z2api_observability::{Asked, RequestRecord};
use z2api_stream_transform::{
    AnswerId, Fold, Options, Progress, Sink, ThinkMode, Transform, TransformError, chat_of,
};
use z2api_upstream_client::{Client, EventStream, Failed, Started};
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;
use z2api_wire::openai::request::ChatRequest;

use crate::answer::{Answer, Opening, Upstream};
use crate::api::Api;
use crate::app::App;
use crate::auth::{Caller, Share};
use crate::body::{Body, Response, json_bytes};
use crate::error::ApiError;
use crate::intake;
use crate::live::Live;
use crate::service::{refuse_with, user_agent};
use crate::slot::Slot;
use crate::tee::{MAX_KEPT, Tee};

/// A request that has been read and understood.
struct Question<A> {
    api: A,
    chat: Chat,
    options: Options,
    id: AnswerId,
    stream: bool,
}

/// Answers a chat request.
pub(crate) async fn complete<A: Api>(
    app: &Arc<App>,
    live: Arc<Live>,
    request: Request<Incoming>,
    mut record: RequestRecord,
) -> Response {
    record.counted();
    let (question, share) = match ask::<A>(app, &live, request, &mut record).await {
        Ok(asked) => asked,
        Err(error) => return refuse::<A>(record, &error),
    };
    let waited = Instant::now();
    let of_model = live.models.get(&question.id.model).and_then(|model| live.limit_of(model));
    let slot = match Slot::take(&app.admission, of_model, share).await {
        Ok(slot) => slot,
        Err(rejected) => return refuse::<A>(record, &rejected.into()),
    };
    record.queued(waited.elapsed());
    if question.stream {
        stream(app, &live, question, slot, record).await
    } else {
        whole(app, &live, question, slot, record).await
    }
}

/// Everything before the request may cost something: who asks, whether there is room, and what
/// is asked.
async fn ask<A: Api>(
    app: &App,
    live: &Live,
    request: Request<Incoming>,
    record: &mut RequestRecord,
) -> Result<(Question<A>, Share), ApiError> {
    let caller = if A::X_API_KEY {
        live.keys.check_either(request.headers())?
    } else {
        live.keys.check(request.headers())?
    };
    record.key(caller.masked(), caller.name());
    app.admission.check()?;
    if app.memory.is_short(live.limits.memory) {
        return Err(ApiError::out_of_memory());
    }
    let share = caller.take_share()?;
    let headers = request.headers().clone();
    let body = intake::read(request, live.limits.body).await?;
    let (request, api) = A::read(intake::parse(body).await?)?;
    record.asked(asked(&request, &caller, &headers, live.log.messages));
    let mode = A::mode(think_mode(&request, &headers)?.unwrap_or(live.think_mode));
    let dialect = live.client.dialect();
    record.manner(dialect_name(dialect), mode.as_str());
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
    let chat = chat_of(request, &live.models, dialect)?;
    let mut options = Options::new(dialect, mode);
    options.stop.clone_from(&chat.stop);
    Ok((Question { api, chat, options, id, stream }, share))
}

/// The answer as a stream. Its head waits for the upstream's first event, so that a refusal has
/// its own status; but not longer than a heartbeat, after which the stream begins and comments
/// keep the connection alive.
async fn stream<A: Api>(
    app: &Arc<App>,
    live: &Live,
    question: Question<A>,
    slot: Slot,
    mut record: RequestRecord,
) -> Response {
    let Question { api, chat, options, id, .. } = question;
    let client = live.client.clone();
    let mut opening: Opening = Box::pin(async move { client.chat(&chat).await });
    let opened = match live.limits.heartbeat {
        None => Some(opening.as_mut().await),
        Some(patience) => tokio::select! {
            opened = &mut opening => Some(opened),
            () = sleep_until(Instant::now() + patience) => None,
        },
    };
    let transform = Transform::new(options);
    let encoder = api.encoder(&id);
    let answer = match opened {
        None => {
            Answer::new(app, live, Upstream::Opening(opening), transform, encoder, slot, record)
        }
        Some(Ok(started)) => {
            record.retries(started.attempts.saturating_sub(1));
            let upstream = Upstream::Streaming(started.events);
            Answer::new(app, live, upstream, transform, encoder, slot, record)
        }
        Some(Err(failed)) => return refuse_failed::<A>(record, failed),
    };
    let mut response = Response::new(Body::Stream(Box::new(answer)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The answer in one piece: the same stream, folded, within its own deadline.
async fn whole<A: Api>(
    app: &Arc<App>,
    live: &Live,
    question: Question<A>,
    slot: Slot,
    mut record: RequestRecord,
) -> Response {
    let deadline = Instant::now() + live.limits.request.min(live.limits.hold);
    let mut out_of_time = app.out_of_time.subscribe();
    let (mut transform, mut fold) = (Transform::new(question.options), Fold::default());
    let mut kept = live.log.answers.then(String::new);
    let mut tee = Tee { sink: &mut fold, kept: kept.as_mut() };
    let outcome = tokio::select! {
        folded = timeout_at(
            deadline,
            gather(&live.client, &question.chat, &mut transform, &mut tee, &mut record),
        ) => folded.unwrap_or_else(|_| Err(ApiError::too_slow())),
        _ = out_of_time.wait_for(|over| *over) => Err(ApiError::shutting_down()),
    };
    if let Err(error) = outcome {
        return refuse::<A>(record, &error);
    }
    transform.end(&mut tee);
    if let Some(kept) = kept {
        record.answer(kept);
    }
    note_end(&transform, &mut record);
    let Some(folded) = fold.whole() else {
        return refuse::<A>(record, &ApiError::internal());
    };
    let completion = match question.api.whole(folded, &question.id) {
        Ok(completion) => completion,
        Err(error) => return refuse::<A>(record, &error),
    };
    record.status(StatusCode::OK.as_u16());
    let response = json_bytes(StatusCode::OK, Vec::new());
    response.map(|_| Body::last(completion, record, slot))
}

/// Asks, and folds the whole stream.
async fn gather(
    client: &Client,
    chat: &Chat,
    transform: &mut Transform,
    sink: &mut impl Sink,
    record: &mut RequestRecord,
) -> Result<(), ApiError> {
    let Started { mut events, attempts, .. } = client.chat(chat).await.map_err(|failed| {
        record.retries(failed.attempts.saturating_sub(1));
        ApiError::from(&failed.error)
    })?;
    record.retries(attempts.saturating_sub(1));
    poll_fn(|cx| fold_ready(&mut events, cx, transform, sink)).await
}

fn fold_ready(
    events: &mut EventStream,
    cx: &mut std::task::Context<'_>,
    transform: &mut Transform,
    sink: &mut impl Sink,
) -> std::task::Poll<Result<(), ApiError>> {
    use std::task::Poll;
    loop {
        let mut outcome: Result<Progress, TransformError> = Ok(Progress::More);
        let polled = events.poll_events(cx, &mut |event| {
            if matches!(outcome, Ok(Progress::More)) {
                outcome = transform.push(&event, sink);
            }
        });
        match (outcome, polled) {
            (Err(error), _) => return Poll::Ready(Err(ApiError::from(&error))),
            (Ok(Progress::Whole), _) | (_, Poll::Ready(None)) => return Poll::Ready(Ok(())),
            (_, Poll::Ready(Some(Err(error)))) => return Poll::Ready(Err(ApiError::from(&error))),
            (_, Poll::Ready(Some(Ok(())))) => {}
            (_, Poll::Pending) => return Poll::Pending,
        }
    }
}

/// What a finished answer leaves in its record.
pub(crate) fn note_end(transform: &Transform, record: &mut RequestRecord) {
    record.finish_reason(transform.finish_reason().as_str());
    if let Some(usage) = transform.usage() {
        record.usage(usage.prompt_tokens, usage.completion_tokens);
    }
    let (unknown, divergences) = (transform.unknown_events(), transform.edit_divergences());
    record.metrics().odd_events(unknown, divergences);
    if unknown > 0 || divergences > 0 {
        tracing::info!(
            r#type = "upstream_shape",
            request_id = record.id().as_str(),
            unknown_events = unknown,
            edit_divergences = divergences,
            "the upstream sent events of unknown shape, or rewrote what the client already had"
        );
    }
}

fn refuse<A: Api>(record: RequestRecord, error: &ApiError) -> Response {
    refuse_with(record, error, A::error(error))
}

fn refuse_failed<A: Api>(mut record: RequestRecord, failed: Failed) -> Response {
    record.retries(failed.attempts.saturating_sub(1));
    refuse::<A>(record, &ApiError::from(&failed.error))
}

fn asked(
    request: &ChatRequest,
    caller: &Caller,
    headers: &HeaderMap,
    with_messages: bool,
) -> Asked {
    let messages = with_messages.then(|| serde_json::to_string(&request.messages).ok()).flatten();
    Asked {
        api_key_masked: caller.masked().to_owned(),
        key_name: caller.name().map(str::to_owned),
        model: request.model.chars().take(100).collect(),
        user_agent: user_agent(headers),
        message_count: request.messages.len(),
        stream: request.stream.unwrap_or(false),
        temperature: request.temperature,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        messages: messages.map(|mut text| {
            text.truncate(text.floor_char_boundary(MAX_KEPT));
            text
        }),
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

fn dialect_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::ZaiWeb => "zai-web",
        Dialect::OpenAi => "openai",
    }
}
