//! The client: attempts under one deadline, until the first event and never after.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;

use crate::attempt::{Attempts, FailedAttempt, SentAhead};
use crate::breaker::{Breaker, BreakerState};
use crate::budget::Budget;
use crate::clocks::after;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::events::EventStream;
use crate::guest::Guests;
use crate::headers;
use crate::http::Http;
use crate::observer::{Observer, Waiting, Watched};
use crate::pool::{Again, Pool, Source, TokenStatus};
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::settings::{Settings, SettingsError};
use crate::token::Token;
use crate::transport::Transport;

/// How often one chat may ask again without it being a retry: with another token, or from a place in
/// the queue. Each of these changes something for all, so that there is no end of none.
const MAX_FREE: u32 = 16;

/// Asks one upstream. A cheap handle: clones share connections, tokens, and what was
/// learned about them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    attempts: Attempts,
    pool: Pool,
    retry: RetryPolicy,
    budget: Budget,
    breaker: Breaker,
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
        let http = Http::new(&settings)?;
        Self::with_transport(settings, http)
    }

    /// A client that asks through an HTTP client of the caller's.
    /// [`Timeouts::connect`](crate::Timeouts) and [`Settings::proxy`] are then the transport's
    /// affair.
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
        let mut all: Vec<Secret> = settings.all_tokens().cloned().collect();
        all.sort_by_key(|secret| Reverse(secret.expose().len()));
        let all = Arc::from(all);
        let given = settings.all_tokens().filter_map(|secret| Token::given(secret.expose()));
        let mut sources: Vec<Source> =
            given.map(|token| Source::Given(token.beside(&all))).collect();
        if sources.is_empty() {
            let (transport, url) = (Arc::clone(&transport), endpoint.guest.clone());
            sources.push(Source::Guests(Guests::new(
                transport,
                headers.clone(),
                url,
                settings.retry.clone(),
            )));
        }
        let Settings { retry, budget, breaker, timeouts, max_event_bytes: max_event, .. } =
            settings;
        let (budget, breaker) = (Budget::new(budget), Breaker::new(breaker));
        let pool = Pool::new(sources, retry.clone());
        let attempts = Attempts { transport, headers, endpoint, timeouts, max_event };
        Ok(Self { inner: Arc::new(Inner { attempts, pool, retry, budget, breaker }) })
    }

    /// The protocol it speaks.
    pub fn dialect(&self) -> Dialect {
        self.inner.attempts.endpoint.dialect
    }

    /// Whether it asks the official API, and not another server of its shape. The official API is
    /// told by its path (`/api/paas/v4`, `/api/coding/paas/v4`), whatever the host.
    pub fn is_official(&self) -> bool {
        let Self { inner } = self;
        let mut path = inner.attempts.endpoint.chat.path().split('/');
        self.dialect() == Dialect::OpenAi && path.any(|segment| segment == "paas")
    }

    /// Where chats are sent, without what stands behind a `?`, which may hold a secret.
    pub fn url(&self) -> String {
        let chat = &self.inner.attempts.endpoint.chat;
        format!("{}{}", self.inner.attempts.endpoint.origin, chat.path())
    }

    /// What is known about its tokens, in the order of the settings; or about the guest.
    pub fn tokens(&self) -> Vec<TokenStatus> {
        self.inner.pool.status()
    }

    /// Whether it has a token for a request that comes now: one that is accepted, though it may rest
    /// a moment; one that is due to be tried again; or a guest's, which is fetched when needed, unless
    /// the last fetch failed or the last guests were refused.
    pub fn has_token(&self) -> bool {
        self.inner.pool.is_of_use()
    }

    /// Fetches a guest's token if the last fetch failed and its wait is over: for whoever sends no
    /// requests while [`Client::has_token`] says no. Waits for nothing. Does nothing outside of a
    /// Tokio runtime.
    pub fn try_again(&self) {
        self.inner.pool.try_again();
    }

    /// How many chats wait for a token.
    pub fn waiting(&self) -> usize {
        self.inner.pool.waiting()
    }

    /// Whether the upstream is asked at all, or left alone after failures in a row.
    pub fn breaker(&self) -> BreakerState {
        self.inner.breaker.status()
    }

    /// Closes the connections that are kept for the next request, for their memory; that one then
    /// takes as long as the first. Connections through a proxy are left alone.
    pub fn close_idle(&self) {
        self.inner.attempts.transport.close_idle();
    }

    /// Asks, and waits for the first event that counts: text, an edit, a tool call, or a finish.
    ///
    /// Waits its turn while all tokens have as many requests in flight as the upstream allows.
    /// Failures that may pass are tried again by [`RetryPolicy`], a fetch of a guest's token when its
    /// own wait is over; besides, a token that is refused
    /// is replaced at once where there is another. One deadline
    /// ([`Timeouts::first_event`](crate::Timeouts)) holds for all of it. Dropping the future
    /// closes the upstream connection.
    ///
    /// # Errors
    /// [`Failed`] with the last attempt's error. That the upstream refuses inside an answer of
    /// status 200 is an error too.
    pub async fn chat(&self, chat: &Chat) -> Result<Started, Failed> {
        self.chat_observed(chat, &()).await
    }

    /// As [`Client::chat`], with somebody who watches the attempts.
    ///
    /// # Errors
    /// As [`Client::chat`].
    pub async fn chat_observed(
        &self,
        chat: &Chat,
        observer: &dyn Observer,
    ) -> Result<Started, Failed> {
        let Inner { attempts: upstream, pool, retry, budget, breaker } = &*self.inner;
        budget.earn();
        let deadline = after(upstream.timeouts.first_event);
        let mut count = Count::default();
        // Boxed: each chat has room for it, and few have one.
        let (mut last, mut sent) = (None::<Box<Error>>, SentAhead::default());
        loop {
            let waiting = Waiting::new(observer);
            let lease = match pool.take(&chat.model, deadline).await {
                Ok(lease) => lease,
                Err(error) => return Err(count.failed(last.map_or(error, |last| *last))),
            };
            let pass = match breaker.pass() {
                Ok(pass) => pass,
                Err(error) => return Err(count.failed(last.map_or(error, |last| *last))),
            };
            let key = timeout_at(deadline, lease.key()).await;
            drop(waiting);
            let (FailedAttempt { error, generation }, asked) = match key {
                Ok(Ok(key)) => {
                    count.attempts += 1;
                    sent.begin(observer.begins(count.attempts));
                    let watched = Watched::new(observer, count.attempts, lease.position());
                    let asking = upstream.ask(chat, key, &mut sent, &watched.came);
                    let failed = match timeout_at(deadline, asking).await {
                        Ok(Ok(events)) => {
                            watched.answered();
                            lease.answered();
                            pass.answered();
                            let attempts = count.attempts;
                            return Ok(Started { events: events.hold(lease), attempts });
                        }
                        Ok(Err(failed)) => failed,
                        Err(_elapsed) => upstream.late().into(),
                    };
                    watched.failed(&failed.error);
                    pass.failed(&failed.error);
                    (failed, true)
                }
                // The upstream was asked for others, if at all: that is no attempt of this chat.
                Ok(Err(error)) => (error.into(), false),
                Err(_elapsed) => (upstream.late().into(), false),
            };
            let again = lease.failed(&error, generation);
            drop(lease);
            let delay = match count.next(again, &error, retry, pool) {
                Next::Never => return Err(count.failed(error)),
                Next::AtOnce => Duration::ZERO,
                // A wait that ends after the deadline only makes the caller wait for the same
                // error.
                Next::After(delay)
                    if delay >= deadline.saturating_duration_since(Instant::now())
                        || !budget.spend() =>
                {
                    return Err(count.failed(error));
                }
                Next::After(delay) => delay,
            };
            if asked {
                tracing::warn!(
                    "type" = "retry",
                    attempt = count.attempts,
                    delay_ms = delay.as_millis() as u64,
                    reason = error.kind(),
                    error = %error,
                    "the upstream is asked again"
                );
            }
            let waiting = (!asked).then(|| Waiting::new(observer));
            sleep(delay).await;
            drop(waiting);
            last = Some(Box::new(error));
        }
    }
}

/// How often one chat has asked.
#[derive(Default)]
struct Count {
    attempts: u32,
    retries: u32,
    free: u32,
    new_guest: bool,
}

/// What follows a failed attempt.
enum Next {
    Never,
    /// Another attempt, which is no retry.
    AtOnce,
    /// A retry.
    After(Duration),
}

impl Count {
    /// Whether to ask again.
    fn next(&mut self, again: Again, error: &Error, retry: &RetryPolicy, pool: &Pool) -> Next {
        match again {
            Again::Free if self.free < MAX_FREE => {
                self.free += 1;
                return Next::AtOnce;
            }
            Again::NewGuest if !std::mem::replace(&mut self.new_guest, true) => {
                return Next::AtOnce;
            }
            Again::Free | Again::NewGuest | Again::Rested | Again::Untouched => {}
        }
        if !error.is_retryable() || self.retries >= retry.retries {
            return Next::Never;
        }
        self.retries += 1;
        Next::After(match again {
            Again::Rested => pool.rest(),
            Again::Free | Again::NewGuest | Again::Untouched => {
                retry.delay(self.retries - 1, error.retry_after())
            }
        })
    }

    fn failed(&self, error: Error) -> Failed {
        Failed { error, attempts: self.attempts }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}
