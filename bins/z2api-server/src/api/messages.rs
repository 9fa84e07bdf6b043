//! `POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic's clients ask them.

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use z2api_observability::RequestRecord;
use z2api_stream_transform::messages::{
    Asked, MessageEvents, chat_request, estimate_tokens, message,
};
use z2api_stream_transform::{AnswerId, Folded, ThinkMode};
use z2api_wire::anthropic::request::MessagesRequest;
use z2api_wire::openai::request::ChatRequest;

use crate::api::{Api, Asker};
use crate::app::App;
use crate::body::{Response, json};
use crate::error::ApiError;
use crate::intake;
use crate::live::Live;
use crate::shape::Shape;

/// `POST /v1/messages`.
pub(crate) struct Messages {
    asked: Asked,
}

impl Api for Messages {
    type Request = MessagesRequest;
    type Encoder = MessageEvents;
    const ID_PREFIX: &'static str = "msg_";
    const SHAPE: Shape = Shape::Anthropic;
    const STREAM_HEADERS: &'static [(&'static str, &'static str)] =
        &[("x-z2api-estimate", "message_start.message.usage.input_tokens")];

    fn read(
        request: MessagesRequest,
        asker: &mut Asker<'_>,
    ) -> Result<(ChatRequest, Self), ApiError> {
        let request_id = asker.request_id.as_str().to_owned();
        let input_tokens = estimate_tokens(&request);
        let hides_thinking = request.thinking.is_some_and(|thinking| thinking.is_hidden());
        let asked = Asked { request_id, input_tokens, hides_thinking };
        Ok((chat_request(request)?, Self { asked }))
    }

    /// Thinking has blocks of its own, or is left out.
    fn mode(mode: ThinkMode) -> ThinkMode {
        match mode {
            ThinkMode::Strip => ThinkMode::Strip,
            ThinkMode::Think | ThinkMode::Raw | ThinkMode::Reasoning => ThinkMode::Reasoning,
        }
    }

    fn encoder(self, id: &AnswerId) -> MessageEvents {
        MessageEvents::new(id, self.asked)
    }

    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError> {
        message(answer, id, &self.asked).map_err(|error| ApiError::from(&error))
    }
}

/// Estimates the tokens of a request. Asks nobody, and takes no slot.
pub(crate) async fn count_tokens(
    app: &App,
    live: &Live,
    request: Request<Incoming>,
    record: &mut RequestRecord,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Count {
        input_tokens: u64,
    }
    let caller = live.keys.check_either(request.headers())?.noted(record);
    let (body, _room) = intake::read(request, live, &app.memory).await?;
    let request: MessagesRequest = intake::parse(body).await?;
    let model = live.models.get(&request.model);
    let model = model.ok_or_else(|| ApiError::unknown_model(&request.model))?;
    record.model(&model.name);
    if !caller.may_ask(&model.name) {
        return Err(ApiError::model_not_allowed());
    }
    let mut response = json(StatusCode::OK, &Count { input_tokens: estimate_tokens(&request) });
    let estimate = http::HeaderValue::from_static("true");
    response.headers_mut().insert("x-z2api-estimate", estimate);
    Ok(response)
}
