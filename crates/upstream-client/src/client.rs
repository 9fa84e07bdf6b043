//! The client: attempts under one deadline, until the first event and never after.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;

use crate::attempt::{Attempts, FailedAttempt, Tokens};
use crate::clocks::after;
use crate::endpoint::Endpoint;
use crate::error::{Error, Wait};
use crate::events::EventStream;
use crate::guest::Guests;
use crate::headers;
use crate::http::Http;
use crate::retry::RetryPolicy;
use crate::settings::{Settings, SettingsError};
use crate::token::Token;
use crate::transport::Transport;

/// Asks one upstream. A cheap handle: clones share connections and the guest's token.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    attempts: Attempts,
    retry: RetryPolicy,
}

/// An answer that has begun.
#[derive(Debug)]
pub struct Started {
    /// The answer. Dropping it closes the upstream connection.
    pub events: EventStream,
    /// How often the upstream was asked: 1 without a retry.
    pub attempts: u32,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error} (attempts: {attempts})")]
pub struct Failed {
    /// Why the last attempt failed.
    #[source]
    pub error: Error,
    /// How often the upstream was asked: 1 without a retry.
    pub attempts: u32,
}

impl Client {
    /// A client with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let http = Http::new(&settings.timeouts)?;
        Self::with_transport(settings, http)
    }

    /// A client that asks through an HTTP client of the caller's.
    /// [`Timeouts::connect`](crate::Timeouts) is then the transport's affair.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be used.
    pub fn with_transport(
        settings: Settings,
        transport: impl Transport,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let endpoint = Endpoint::new(&settings)?;
        let headers = headers::common(&endpoint, &settings)?;
        let transport: Arc<dyn Transport> = Arc::new(transport);
        let tokens = match &settings.token {
            Some(secret) => Tokens::Given(
                Token::given(secret.expose()).ok_or(SettingsError::Header { setting: "token" })?,
            ),
            None => Tokens::Guests(Guests::new(
                Arc::clone(&transport),
                headers.clone(),
                endpoint.guest.clone(),
            )),
        };
        let Settings { retry, timeouts, max_event_bytes: max_event, .. } = settings;
        let attempts = Attempts { transport, headers, endpoint, tokens, timeouts, max_event };
        Ok(Self { inner: Arc::new(Inner { attempts, retry }) })
    }

    /// The protocol it speaks.
    pub fn dialect(&self) -> Dialect {
        self.inner.attempts.endpoint.dialect
    }

    /// Asks, and waits for the first event that counts: text, an edit, a tool call, or a finish.
    ///
    /// Failures that may pass are tried again by [`RetryPolicy`]; a refused guest token is
    /// replaced once besides. One deadline ([`Timeouts::first_event`](crate::Timeouts)) holds
    /// for all of it. Dropping the future closes the upstream connection.
    ///
    /// # Errors
    /// [`Failed`] with the last attempt's error. That the upstream refuses inside an answer of
    /// status 200 is an error too.
    pub async fn chat(&self, chat: &Chat) -> Result<Started, Failed> {
        let Inner { attempts: upstream, retry } = &*self.inner;
        let limit = upstream.timeouts.first_event;
        let deadline = after(limit);
        let mut attempts = 0;
        let mut retries = 0;
        let mut free_retry = true;
        loop {
            attempts += 1;
            let failed = match timeout_at(deadline, upstream.ask(chat)).await {
                Ok(Ok(events)) => return Ok(Started { events, attempts }),
                Ok(Err(failed)) => failed,
                Err(_elapsed) => Error::Timeout { wait: Wait::FirstEvent, limit }.into(),
            };
            let FailedAttempt { error, dropped_guest } = failed;
            let delay = if dropped_guest && std::mem::take(&mut free_retry) {
                Duration::ZERO
            } else if error.is_retryable() && retries < retry.retries {
                retries += 1;
                retry.delay(retries - 1, error.retry_after())
            } else {
                return Err(Failed { error, attempts });
            };
            // A wait that ends after the deadline only makes the caller wait for the same error.
            if delay >= deadline.saturating_duration_since(Instant::now()) {
                return Err(Failed { error, attempts });
            }
            tracing::warn!(
                "type" = "retry",
                attempt = attempts,
                delay_ms = delay.as_millis() as u64,
                reason = error.kind(),
                error = %error,
                "the upstream is asked again"
            );
            sleep(delay).await;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}
