//! One attempt: a token, a request, and the wait for the first event.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, Uri};
use bytes::Bytes;
use z2api_wire::chat::Chat;

use crate::answer;
use crate::dialect::{self, Outgoing, Uploaded};
use crate::endpoint::Endpoint;
use crate::error::{Error, Found, Wait};
use crate::events::EventStream;
use crate::guest::Key;
use crate::observer::{Came, TracePlace};
use crate::settings::Timeouts;
use crate::token::Token;
use crate::transport::{Body, Transport};

/// Of W3C's Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Of the same.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What every attempt of a client needs.
pub(crate) struct Attempts {
    pub(crate) transport: Arc<dyn Transport>,
    /// What all requests carry.
    pub(crate) headers: HeaderMap,
    pub(crate) endpoint: Endpoint,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_event: usize,
}

/// What one chat has sent ahead, so that a retry need not; and what its requests carry besides.
#[derive(Default)]
pub(crate) struct SentAhead {
    /// The headers `traceparent` and `tracestate`.
    trace: Option<Box<HeaderMap>>,
    /// With which token.
    by: Option<Box<str>>,
    files: Vec<Uploaded>,
}

impl SentAhead {
    /// The next attempt begins, and its requests tell this place in a trace.
    pub(crate) fn begin(&mut self, place: Option<TracePlace>) {
        self.trace = place.and_then(|place| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_str(&place.parent).ok()?);
            let state = place.state.and_then(|state| HeaderValue::from_str(&state).ok());
            state.and_then(|state| headers.insert(TRACESTATE, state));
            Some(Box::new(headers))
        });
    }
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
    /// Asks once, and notes in `came` what comes. Dropping the future closes the connection.
    pub(crate) async fn ask(
        &self,
        chat: &Chat,
        key: Key,
        sent: &mut SentAhead,
        came: &Came,
    ) -> Result<EventStream, FailedAttempt> {
        let token = match key {
            Key::Token(token) => token,
            Key::Fetch(fetch) => fetch.token().await?,
        };
        let generation = token.generation();
        let asked = async {
            self.send_ahead(chat, &token, sent).await?;
            self.ask_as(&token, chat, sent, came).await
        };
        asked.await.map_err(|error| FailedAttempt { error, generation })
    }

    async fn ask_as(
        &self,
        token: &Token,
        chat: &Chat,
        sent: &SentAhead,
        came: &Came,
    ) -> Result<EventStream, Error> {
        let mut outgoing = dialect::request(&self.endpoint, chat, &sent.files)?;
        outgoing.headers.extend(sent.trace.iter().flat_map(|headers| (**headers).clone()));
        let answer = self.post(&self.endpoint.chat, outgoing, token).await?;
        came.status.store(answer.status().as_u16(), Relaxed);
        let token = Some(token.clone());
        let reader = answer::open(answer, self.endpoint.dialect, self.max_event, token).await?;
        EventStream::begin(reader, &self.timeouts, &came.unknown).await
    }

    /// Sends what has to be there before the chat. Files belong to a token: with another, they are
    /// sent again.
    async fn send_ahead(
        &self,
        chat: &Chat,
        token: &Token,
        sent: &mut SentAhead,
    ) -> Result<(), Error> {
        if sent.by.as_deref() == Some(token.text()) {
            return Ok(());
        }
        let guest = token.generation().is_some();
        let mut files = Vec::new();
        for attachment in dialect::attachments(self.endpoint.dialect, chat, guest)? {
            let outgoing = dialect::upload(&attachment)?;
            let answer = self.post(&self.endpoint.files, outgoing, token).await?;
            let record = answer::small(answer, self.endpoint.dialect, Some(token)).await?;
            let file = dialect::uploaded(&attachment, &record)
                .ok_or(Error::NotAStream { found: Found::Json })?;
            files.push(file);
        }
        sent.by = Some(token.text().into());
        sent.files = files;
        Ok(())
    }

    async fn post(
        &self,
        url: &Uri,
        outgoing: Outgoing,
        token: &Token,
    ) -> Result<Response<Body>, Error> {
        let mut request = Request::new(Bytes::from(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(outgoing.headers);
        headers.insert(AUTHORIZATION, token.header());
        Ok(self.transport.send(request).await?)
    }

    /// The error of a deadline that is over.
    pub(crate) fn late(&self) -> Error {
        Error::Timeout { which: Wait::FirstEvent, limit: self.timeouts.first_event }
    }
}
