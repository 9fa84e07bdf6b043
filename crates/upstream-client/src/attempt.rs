//! One attempt: a token, a request, and the wait for the first event.

use std::sync::Arc;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use ::http::{Method, Request};
use bytes::Bytes;
use z2api_wire::chat::Chat;

use crate::answer;
use crate::dialect;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::events::EventStream;
use crate::guest::Guests;
use crate::settings::Timeouts;
use crate::token::Token;
use crate::transport::Transport;

/// Where tokens come from.
pub(crate) enum Tokens {
    /// The settings.
    Given(Token),
    /// The upstream, for the asking.
    Guests(Guests),
}

/// What every attempt of a client needs.
pub(crate) struct Attempts {
    pub(crate) transport: Arc<dyn Transport>,
    /// What all requests carry.
    pub(crate) headers: HeaderMap,
    pub(crate) endpoint: Endpoint,
    pub(crate) tokens: Tokens,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_event: usize,
}

/// An attempt that failed.
pub(crate) struct FailedAttempt {
    pub(crate) error: Error,
    /// A guest's token that was refused, and has been dropped: a new one may do.
    pub(crate) dropped_guest: bool,
}

impl From<Error> for FailedAttempt {
    fn from(error: Error) -> Self {
        Self { error, dropped_guest: false }
    }
}

impl Attempts {
    /// Asks once. Dropping the future closes the connection.
    pub(crate) async fn ask(&self, chat: &Chat) -> Result<EventStream, FailedAttempt> {
        let token = match &self.tokens {
            Tokens::Given(token) => token.clone(),
            Tokens::Guests(guests) => guests.token().await?,
        };
        let outcome = self.ask_as(&token, chat).await;
        outcome.map_err(|error| FailedAttempt {
            dropped_guest: self.drop_if_refused(&token, &error),
            error,
        })
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

    fn drop_if_refused(&self, token: &Token, error: &Error) -> bool {
        match (&self.tokens, token.generation(), error) {
            (Tokens::Guests(guests), Some(generation), Error::Unauthorized { .. }) => {
                guests.forget(generation);
                true
            }
            (Tokens::Guests(_) | Tokens::Given(_), _, _) => false,
        }
    }
}
