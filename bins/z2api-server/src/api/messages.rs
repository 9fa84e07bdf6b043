//! `POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic's clients ask them.

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use z2api_observability::RequestRecord;
use z2api_stream_transform::messages::{MessageEvents, chat_request, estimate_tokens, message};
use z2api_stream_transform::{AnswerId, Folded, ThinkMode};
use z2api_wire::anthropic::error::ErrorBody;
use z2api_wire::anthropic::request::MessagesRequest;
use z2api_wire::openai::request::ChatRequest;

use crate::api::{Api, Asker};
use crate::app::App;
use crate::body::{Response, json};
use crate::error::ApiError;
use crate::intake;
use crate::live::Live;

/// `POST /v1/messages`.
pub(crate) struct Messages;

impl Api for Messages {
    type Request = MessagesRequest;
    type Encoder = MessageEvents;
    const ID_PREFIX: &'static str = "msg_";
    const X_API_KEY: bool = true;

    fn read(request: MessagesRequest, _: &Asker<'_>) -> Result<(ChatRequest, Self), ApiError> {
        Ok((chat_request(request)?, Self))
    }

    /// Thinking has blocks of its own, or is left out.
    fn mode(mode: ThinkMode) -> ThinkMode {
        match mode {
            ThinkMode::Strip => ThinkMode::Strip,
            ThinkMode::Think | ThinkMode::Raw | ThinkMode::Reasoning => ThinkMode::Reasoning,
        }
    }

    fn encoder(self, id: &AnswerId) -> MessageEvents {
        MessageEvents::new(id)
    }

    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError> {
        message(answer, id).map_err(|error| ApiError::from(&error))
    }

    fn error(error: &ApiError) -> Vec<u8> {
        let message = match &error.param {
            Some(param) => error.message.replace(&format!("`{param}`"), &dotted(param)),
            None => error.message.to_string(),
        };
        let body = ErrorBody::new(error.status.as_u16(), &message);
        serde_json::to_vec(&body).expect("an error is JSON")
    }
}

/// Anthropic's way of a path: `messages.1.content.0`.
fn dotted(param: &str) -> String {
    format!("`{}`", param.replace('[', ".").replace(']', ""))
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
    let _caller = live.keys.check_either(request.headers())?;
    let (body, _room) = intake::read(request, live, &app.memory).await?;
    let request: MessagesRequest = intake::parse(body).await?;
    let model = live.models.get(&request.model);
    let model = model.ok_or_else(|| ApiError::unknown_model(&request.model))?;
    record.model(&model.name);
    let mut response = json(StatusCode::OK, &Count { input_tokens: estimate_tokens(&request) });
    let estimate = http::HeaderValue::from_static("true");
    response.headers_mut().insert("x-z2api-estimate", estimate);
    Ok(response)
}
