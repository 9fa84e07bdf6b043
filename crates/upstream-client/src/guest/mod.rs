//! Guest tokens of the web chat: one at a time, shared by all, fetched by one.

mod standing;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::http::{HeaderMap, Method, Request, Uri};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use z2api_wire::Malformed;
use z2api_wire::event::Dialect;
use z2api_wire::zai::Guest;

use crate::answer;
use crate::clocks::after;
use crate::error::{Error, Wait};
use crate::retry::RetryPolicy;
use crate::token::Token;
use crate::transport::Transport;

/// How long a token is used. It carries no expiry, and the upstream names none.
const MAX_AGE: Duration = Duration::from_secs(300);
/// When the next one is fetched, while the old one still serves: at a random moment, so that many
/// clients do not ask at once.
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(216)..=Duration::from_secs(264);
/// How long one fetch may take, whoever waits for it.
const MAX_FETCH: Duration = Duration::from_secs(30);

/// Gives out the current guest token. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guests {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    headers: HeaderMap,
    url: Uri,
    retry: RetryPolicy,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many tokens there have been.
    generation: u64,
    have: Option<Have>,
    /// The fetch that runs, if one does.
    fetch: Option<Fetch>,
    /// The last fetch, if it failed.
    failed: Option<Failure>,
    /// How many failed in a row.
    failures: u32,
    /// How the last token was refused, and when.
    refused: Option<(Error, Instant)>,
    /// How many were refused in a row, without an answer to any.
    refusals: u32,
}

struct Have {
    token: Token,
    refresh: Instant,
    end: Instant,
}

struct Failure {
    error: Error,
    at: Instant,
    /// When the next may be begun.
    until: Instant,
}

/// A fetch that runs, for all who wait for its outcome.
#[derive(Clone)]
pub(crate) struct Fetch(watch::Receiver<Option<Outcome>>);

impl Fetch {
    /// One whose task is gone, because its runtime is, comes to no end.
    fn runs(&self) -> bool {
        self.0.has_changed().is_ok()
    }

    /// The token, when it is there.
    ///
    /// # Errors
    /// [`Error::Blocked`] or [`Error::Guest`], for all who wait.
    pub(crate) async fn token(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The task is gone without an outcome: its runtime shuts down.
            Ok(None) | Err(_) => Err(Error::Guest(Box::new(Error::Disconnected {
                reason: "the fetch was given up".to_owned(),
            }))),
        }
    }
}

/// What an attempt begins with.
pub(crate) enum Key {
    Token(Token),
    /// It has to be fetched first, and that was begun for this attempt.
    Fetch(Fetch),
}

/// What there is for whoever asks.
enum Current {
    Token(Token),
    /// A fetch that was begun just now.
    Begun(Fetch),
    /// One that was begun for somebody else.
    Running(Fetch),
    Failed(Error),
}

type Outcome = Result<Token, Error>;

impl Guests {
    /// Guests from there. After a failed fetch the policy's wait passes before the next.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        headers: HeaderMap,
        url: Uri,
        retry: RetryPolicy,
    ) -> Self {
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { transport, headers, url, retry, state }) }
    }

    /// The current token, or a fetch of a new one that this call has begun. Waits for a fetch that
    /// runs already.
    ///
    /// Dropping this future leaves the fetch to the others.
    ///
    /// # Errors
    /// [`Error::Blocked`] or [`Error::Guest`], for all who wait, and for all who ask before the
    /// next fetch may be begun. The upstream was not asked for this call then.
    pub(crate) async fn key(&self) -> Result<Key, Error> {
        match self.current() {
            Current::Token(token) => Ok(Key::Token(token)),
            Current::Begun(fetch) => Ok(Key::Fetch(fetch)),
            Current::Running(fetch) => fetch.token().await.map(Key::Token),
            Current::Failed(error) => Err(error),
        }
    }

    /// Forgets a token that the upstream does not accept. A late word about an older token
    /// changes nothing.
    pub(crate) fn forget(&self, generation: u64, error: &Error) {
        let mut state = self.lock();
        let is_it = |have: &Have| have.token.generation() == Some(generation);
        if state.have.as_ref().is_some_and(is_it) {
            state.have = None;
            state.refused = Some((error.clone(), Instant::now()));
            state.refusals = state.refusals.saturating_add(1);
        }
    }

    /// The upstream has answered a guest.
    pub(crate) fn accepted(&self) {
        let mut state = self.lock();
        (state.refused, state.refusals) = (None, 0);
    }

    fn current(&self) -> Current {
        let now = Instant::now();
        let mut state = self.lock();
        let running = state.fetch.clone().filter(Fetch::runs);
        let failed = state.failed.as_ref().filter(|failed| now < failed.until);
        let failed = failed.map(|failed| failed.error.clone());
        if let Some(have) = state.have.as_ref().filter(|have| now < have.end) {
            let token = have.token.clone();
            if now >= have.refresh && running.is_none() && failed.is_none() {
                self.start(&mut state);
            }
            return Current::Token(token);
        }
        match (running, failed) {
            (Some(fetch), _) => Current::Running(fetch),
            (None, Some(error)) => Current::Failed(error),
            (None, None) => Current::Begun(self.start(&mut state)),
        }
    }

    /// Starts a fetch in a task of its own, so that the first asker can leave without taking the
    /// token from the others. It ends by its own timeout.
    fn start(&self, state: &mut State) -> Fetch {
        let (sender, receiver) = watch::channel(None);
        let fetch = Fetch(receiver);
        state.fetch = Some(fetch.clone());
        tokio::spawn(self.clone().fetch(sender));
        fetch
    }

    async fn fetch(self, sender: watch::Sender<Option<Outcome>>) {
        let outcome = match timeout(MAX_FETCH, self.ask()).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Error::Timeout { which: Wait::GuestToken, limit: MAX_FETCH }),
        };
        let mut state = self.lock();
        let outcome = outcome.and_then(|guest| {
            let token = Token::guest(&guest.token, state.generation + 1).ok_or_else(no_token)?;
            state.generation += 1;
            Ok(token)
        });
        state.fetch = None;
        let outcome = outcome.map_err(|error| match error {
            blocked @ Error::Blocked { .. } => blocked,
            error => Error::Guest(Box::new(error)),
        });
        match &outcome {
            Ok(token) => {
                let token = token.clone();
                let refresh = after(rand::random_range(REFRESH));
                state.have = Some(Have { token, refresh, end: after(MAX_AGE) });
                (state.failed, state.failures) = (None, 0);
            }
            Err(error) => {
                let wait = self.inner.retry.delay(state.failures, error.retry_after());
                let (error, at) = (error.clone(), Instant::now());
                state.failed = Some(Failure { error, at, until: after(wait) });
                state.failures = state.failures.saturating_add(1);
            }
        }
        drop(state);
        sender.send_replace(Some(outcome));
    }

    async fn ask(&self) -> Result<Guest, Error> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.inner.url.clone();
        request.headers_mut().extend(self.inner.headers.clone());
        let answer = self.inner.transport.send(request).await?;
        let body = answer::small(answer, Dialect::ZaiWeb, None).await?;
        serde_json::from_slice(&body).map_err(|_| no_token())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_token() -> Error {
    Error::Malformed(Malformed::NotJson("the guest record holds no token".to_owned()))
}

#[cfg(test)]
mod tests;
