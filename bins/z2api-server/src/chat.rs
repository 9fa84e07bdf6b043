//! A chat request, in whichever API: key, body, slot, upstream, answer.

use std::sync::Arc;

use http::Request;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use tokio::time::sleep_until;
use z2api_observability::RequestRecord;
use z2api_stream_transform::Transform;

use crate::answer::{Answer, Opening, Upstream};
use crate::api::Api;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Body, Response};
use crate::error::ApiError;
use crate::faults::Fault;
use crate::live::Live;
use crate::panics::caught;
use crate::question::{Question, ask};
use crate::rate::tell_rate;
use crate::service::refuse;
use crate::shape::Shape;
use crate::slot::Slot;
use crate::traced::trace;
use crate::whole::whole;

/// Answers a chat request.
pub(crate) async fn complete<A: Api>(
    app: &Arc<App>,
    live: Arc<Live>,
    request: Request<Incoming>,
    mut record: Box<RequestRecord>,
) -> Response {
    if let Some(tracer) = &app.tracer {
        trace(tracer, live.peers.tls.is_some(), &request, &mut record);
    }
    let id = record.id().clone();
    let told = |error: &ApiError| A::SHAPE.body(error, &id);
    caught(answer::<A>(app, live, request, record), told).await
}

async fn answer<A: Api>(
    app: &Arc<App>,
    live: Arc<Live>,
    request: Request<Incoming>,
    mut record: Box<RequestRecord>,
) -> Response {
    let caller = match live.keys.check_as(A::SHAPE, request.headers()) {
        Ok(caller) => caller.noted(&mut record),
        Err(error) => return refused::<A>(record, &error),
    };
    let mut response = answer_to::<A>(app, live, &caller, request, record).await;
    if A::SHAPE == Shape::Anthropic
        && let Some(rate) = app.admission.rate(&caller.in_admission())
    {
        tell_rate(rate, response.headers_mut());
    }
    response
}

async fn answer_to<A: Api>(
    app: &Arc<App>,
    live: Arc<Live>,
    caller: &Caller,
    request: Request<Incoming>,
    mut record: Box<RequestRecord>,
) -> Response {
    let fault = Fault::wanted(request.headers());
    let (mut question, share) = match ask::<A>(app, &live, caller, request, &mut record).await {
        Ok(asked) => asked,
        Err(error) => return refused::<A>(record, &error),
    };
    let of_model = live.models.get(&question.id.model).and_then(|model| live.limit_of(model));
    let listed = app.memory.enlist(question.size as u64);
    let tries = record.tries();
    let slot = match Slot::take(share, of_model, &question.caller, listed, &tries).await {
        Ok(slot) => slot,
        Err(rejected) => return refused::<A>(record, &rejected.into()),
    };
    fault.in_handler();
    let ignored = question.ignored.take();
    let mut response = if question.stream {
        stream(app, &live, question, slot, record).await
    } else {
        whole(app, &live, question, slot, record).await
    };
    if let Some(ignored) = ignored {
        response.headers_mut().insert("x-z2api-ignored", ignored);
    }
    fault.in_stream(response)
}

/// The answer as a stream. Its head waits for the upstream's first event, so that a refusal has
/// its own status; but not longer than a heartbeat, after which the stream begins and comments
/// keep the connection alive.
async fn stream<A: Api>(
    app: &Arc<App>,
    live: &Live,
    question: Box<Question<A>>,
    slot: Slot,
    record: Box<RequestRecord>,
) -> Response {
    let Question { api, chat, options, id, feedback, lease, .. } = *question;
    let client = live.client.clone();
    let mut opening: Opening = Box::pin(async move {
        // Once the request has been sent it is not held any more.
        let _room = lease;
        feedback.ask(&client, &chat).await
    });
    let hold = live.limits.hold;
    let patience = live.limits.heartbeat.map_or(hold, |heartbeat| heartbeat.min(hold));
    let opened = tokio::select! {
        opened = &mut opening => Some(opened),
        () = sleep_until(slot.since() + patience) => None,
    };
    let transform = Transform::new(options);
    let encoder = api.encoder(&id);
    let answer = match opened {
        None if patience == hold => {
            // The try that is under way is given up by that, and noted.
            drop(opening);
            return refused::<A>(record, &ApiError::held_too_long());
        }
        None => {
            Answer::new(app, live, Upstream::Opening(opening), transform, encoder, slot, record)
        }
        Some(Ok(hearing)) => {
            let upstream = Upstream::Streaming(hearing);
            Answer::new(app, live, upstream, transform, encoder, slot, record)
        }
        Some(Err(failed)) => return refused::<A>(record, &ApiError::from(&failed.error)),
    };
    let mut response = Response::new(Body::Stream(Box::new(answer)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    for (name, value) in A::STREAM_HEADERS {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// What a finished answer leaves in its record.
pub(crate) fn note_end(transform: &Transform, record: &mut RequestRecord) {
    record.finish_reason(transform.finish_reason().as_str());
    record.upstream_ended();
}

/// What an answer leaves in its record, however it ended.
pub(crate) fn note_counts(transform: &Transform, record: &mut RequestRecord) {
    if let Some(usage) = transform.usage() {
        record.usage(usage.prompt_tokens, usage.completion_tokens);
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        let thinking = usage.completion_tokens_details.and_then(|parts| parts.reasoning_tokens);
        record.usage_parts(cached, thinking);
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

pub(crate) fn refused<A: Api>(record: Box<RequestRecord>, error: &ApiError) -> Response {
    refuse(record, error, A::SHAPE)
}
