//! What differs between the APIs that clients speak: how a request is read, and how its answer is
//! written. Everything between is one path.

mod messages;
mod responses;
mod text;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use z2api_observability::RequestId;
use z2api_stream_transform::{AnswerId, CallForm, Chunks, Encoder, Folded, ThinkMode, completion};
use z2api_wire::openai::request::ChatRequest;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::memory::{Lease, NoRoom};
use crate::responses_store::ResponseStore;
use crate::shape::Shape;

pub(crate) use messages::{Messages, count_tokens};
pub(crate) use responses::{Responses, forget, kept};
pub(crate) use text::TextCompletions;

/// Who asks, and what is kept for later requests of the same key.
pub(crate) struct Asker<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) request_id: &'a RequestId,
    pub(crate) store: &'a Arc<ResponseStore>,
    /// Room for what is asked.
    pub(crate) lease: &'a mut Lease,
    /// Bytes of what is asked: of the body, and of what it goes on from.
    pub(crate) size: usize,
}

impl Asker<'_> {
    /// Sees to it that there is room for so many bytes more, which are not in the body.
    pub(crate) fn goes_on_from(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.size += bytes;
        self.lease.cover(self.size as u64).map_err(|no_room| match no_room {
            NoRoom::Now => ApiError::out_of_memory(),
            NoRoom::Ever(largest) => ApiError::conversation_beyond_memory(largest),
        })
    }
}

/// One API. Its value is what an answer must know of its request.
pub(crate) trait Api: Sized + Send + 'static {
    /// The request's JSON.
    type Request: DeserializeOwned + Send + 'static;
    /// Writes the answer as a stream.
    type Encoder: Encoder + Send + 'static;
    /// What the id of an answer begins with.
    const ID_PREFIX: &'static str;
    /// In whose shape errors are told, and keys come.
    const SHAPE: Shape = Shape::OpenAi;
    /// Further headers of a stream.
    const STREAM_HEADERS: &'static [(&'static str, &'static str)] = &[];

    /// Reads the request as a chat.
    fn read(request: Self::Request, asker: &mut Asker<'_>)
    -> Result<(ChatRequest, Self), ApiError>;

    /// The thinking mode in which this API can answer, if the client or the settings want `mode`.
    fn mode(mode: ThinkMode) -> ThinkMode {
        mode
    }

    /// Begins the stream of the answer `id`.
    fn encoder(self, id: &AnswerId) -> Self::Encoder;

    /// Writes the answer in one piece, as JSON; or tells why this API has no words for it.
    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError>;
}

/// `POST /v1/chat/completions`.
pub(crate) struct ChatCompletions {
    include_usage: bool,
    calls: CallForm,
}

impl Api for ChatCompletions {
    type Request = ChatRequest;
    type Encoder = Chunks;
    const ID_PREFIX: &'static str = "chatcmpl-";

    fn read(request: ChatRequest, _: &mut Asker<'_>) -> Result<(ChatRequest, Self), ApiError> {
        let include_usage = request.stream_options.and_then(|options| options.include_usage);
        let oldest = request.functions.is_some() && request.tools.is_none();
        let calls = if oldest { CallForm::Functions } else { CallForm::Tools };
        Ok((request, Self { include_usage: include_usage.unwrap_or(false), calls }))
    }

    fn encoder(self, id: &AnswerId) -> Chunks {
        Chunks::new(id, self.include_usage).with_calls(self.calls)
    }

    fn whole(self, answer: Folded<'_>, id: &AnswerId) -> Result<Vec<u8>, ApiError> {
        Ok(completion(answer, id, self.calls))
    }
}
