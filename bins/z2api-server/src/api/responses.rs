//! `POST /v1/responses`, and the answers that are kept for a while.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde::Serialize;
use z2api_observability::RequestRecord;
use z2api_stream_transform::responses::{
    Asked, Frame, OnWhole, ResponseEvents, answer_turn, chat_request, response,
};
use z2api_stream_transform::{AnswerId, Fold, Folded, ThinkMode};
use z2api_wire::openai::request::{ChatRequest, Message};
use z2api_wire::openai::responses::ResponsesRequest;

use crate::api::{Api, Asker};
use crate::body::{Response, json, json_bytes};
use crate::error::ApiError;
use crate::live::Live;
use crate::responses_store::{Conversation, Kept, ResponseStore, size_of_conversation};

/// `POST /v1/responses`.
pub(crate) struct Responses {
    frame: Frame,
    keep: Option<Keep>,
}

/// What it takes to keep the answer.
struct Keep {
    store: Arc<ResponseStore>,
    owner: [u8; 32],
    conversation: Conversation,
}

impl Api for Responses {
    type Request = ResponsesRequest;
    type Encoder = ResponseEvents;
    const ID_PREFIX: &'static str = "resp_";

    fn read(
        request: ResponsesRequest,
        asker: &mut Asker<'_>,
    ) -> Result<(ChatRequest, Self), ApiError> {
        let owner = asker.caller.digest();
        let mut conversation = match &request.previous_response_id {
            None => Conversation::new(),
            Some(id) => {
                let kept = asker.store.get(id, &owner).ok_or_else(ApiError::nothing_to_follow)?;
                kept.conversation.clone()
            }
        };
        asker.goes_on_from(size_of_conversation(&conversation))?;
        let wanted = request.store.unwrap_or(true);
        let earlier = conversation.iter().map(|message| Message::clone(message)).collect();
        let Asked { chat, said, frame } = chat_request(request, earlier)?;
        conversation.extend(said.into_iter().map(Arc::new));
        if !wanted || !asker.store.can_hold(&conversation) {
            return Ok((chat, Self { frame: frame.not_kept(), keep: None }));
        }
        let keep = Some(Keep { store: asker.store.clone(), owner, conversation });
        Ok((chat, Self { frame, keep }))
    }

    /// Thinking has items of its own, or is left out.
    fn mode(mode: ThinkMode) -> ThinkMode {
        match mode {
            ThinkMode::Strip => ThinkMode::Strip,
            ThinkMode::Think | ThinkMode::Raw | ThinkMode::Reasoning => ThinkMode::Reasoning,
        }
    }

    fn encoder(self, id: &AnswerId) -> ResponseEvents {
        let Self { frame, keep } = self;
        let id_of_kept = id.id.clone();
        let on_whole = keep.map(|keep| -> OnWhole {
            Box::new(move |whole: &Fold, json: &[u8]| {
                if let Some(answer) = whole.whole() {
                    keep.keep(id_of_kept, answer, json);
                }
            })
        });
        ResponseEvents::new(frame.named(id), on_whole)
    }

    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError> {
        let json =
            response(&self.frame.named(id), answer).map_err(|error| ApiError::from(&error))?;
        if let Some(keep) = self.keep {
            keep.keep(id.id.clone(), answer, &json);
        }
        Ok(json)
    }
}

impl Keep {
    fn keep(self, id: String, answer: Folded<'_>, json: &[u8]) {
        let Self { store, owner, mut conversation } = self;
        conversation.push(Arc::new(answer_turn(answer)));
        store.keep(id, Kept { owner, json: Bytes::copy_from_slice(json), conversation });
    }
}

/// `GET /v1/responses/{id}`. It comes whole, however it was given first.
pub(crate) fn kept<B>(
    live: &Live,
    store: &ResponseStore,
    request: &Request<B>,
    id: &str,
    record: &mut RequestRecord,
) -> Result<Response, ApiError> {
    let caller = live.keys.check(request.headers())?.noted(record);
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|field| field == "stream=true") {
        return Err(ApiError::unsupported("stream", "a kept answer is given whole; leave it out"));
    }
    let kept = store.get(id, &caller.digest()).ok_or_else(ApiError::no_such_response)?;
    Ok(json_bytes(StatusCode::OK, kept.json.to_vec()))
}

/// `DELETE /v1/responses/{id}`.
pub(crate) fn forget(
    live: &Live,
    store: &ResponseStore,
    headers: &HeaderMap,
    id: &str,
    record: &mut RequestRecord,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Deleted<'a> {
        id: &'a str,
        object: &'static str,
        deleted: bool,
    }
    let caller = live.keys.check(headers)?.noted(record);
    if !store.forget(id, &caller.digest()) {
        return Err(ApiError::no_such_response());
    }
    Ok(json(StatusCode::OK, &Deleted { id, object: "response", deleted: true }))
}
