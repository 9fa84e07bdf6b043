//! One attempt: a token, a request, and the wait for the first event.

use std::sync::Arc;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use ::http::{Method, Request};
use bytes::Bytes;
use z2api_wire::chat::Chat;

use crate::answer;
use crate::dialect;
use crate::endpoint::Endpoint;
use crate::error::{Error, Wait};
use crate::events::EventStream;
use crate::pool::Source;
use crate::settings::Timeouts;
use crate::token::Token;
use crate::transport::Transport;

/// What every attempt of a client needs.
pub(crate) struct Attempts {
    pub(crate) transport: Arc<dyn Transport>,
    /// What all requests carry.
    pub(crate) headers: HeaderMap,
    pub(crate) endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_event: usize,
}

/// An attempt that failed.
pub(crate) struct FailedAttempt {
    pub(crate) error: Error,
    /// The generation of the guest it was sent as, if it was.
    pub(crate) generation: Option<u64>,
}

impl From<Error> for FailedAttempt {
    fn from(error: Error) -> Self {
        Self { error, generation: None }
    }
}

impl Attempts {
    /// Asks once. Dropping the future closes the connection.
    pub(crate) async fn ask(
        &self,
        chat: &Chat,
        source: &Source,
    ) -> Result<EventStream, FailedAttempt> {
        let token = match source {
            Source::Given(token) => token.clone(),
            Source::Guests(guests) => guests.token().await?,
        };
        let generation = token.generation();
        self.ask_as(&token, chat).await.map_err(|error| FailedAttempt { error, generation })
    }

    async fn ask_as(&self, token: &Token, chat: &Chat) -> Result<EventStream, Error> {
        let outgoing = dialect::request(&self.endpoint, chat)?;
        let mut request = Request::new(Bytes::from(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.chat.clone();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.extend(outgoing.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, token.header());
        let answer = self.transport.send(request).await?;
        let token = Some(token.clone());
        let reader = answer::open(answer, self.endpoint.dialect, self.max_event, token).await?;
        EventStream::begin(reader, &self.timeouts).await
    }

    /// The error of a deadline that is over.
    pub(crate) fn late(&self) -> Error {
        Error::Timeout { wait: Wait::FirstEvent, limit: self.timeouts.first_event }
    }
}
