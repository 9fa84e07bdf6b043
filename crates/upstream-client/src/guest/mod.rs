//! Guest tokens of the web chat: one at a time, shared by all, fetched by one.

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
    /// How the last fetch failed, until one may be begun again.
    failed: Option<(Error, Instant)>,
    /// How many failed in a row.
    failures: u32,
}

struct Have {
    token: Token,
    refresh: Instant,
    end: Instant,
}

type Fetch = watch::Receiver<Option<Outcome>>;

/// What there is for whoever asks.
enum Current {
    Token(Token),
    Fetch(Fetch),
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

    /// The current token, or a new one.
    ///
    /// Many who ask at once wait for the same fetch. Dropping this future leaves the fetch to
    /// the others.
    ///
    /// # Errors
    /// [`Error::Blocked`] or [`Error::Guest`], for all who wait, and for all who ask before the
    /// next fetch may be begun.
    pub(crate) async fn token(&self) -> Outcome {
        let mut fetch = match self.current() {
            Current::Token(token) => return Ok(token),
            Current::Failed(error) => return Err(error),
            Current::Fetch(fetch) => fetch,
        };
        match fetch.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The task is gone without an outcome: its runtime shuts down.
            Ok(None) | Err(_) => Err(Error::Guest(Box::new(Error::Disconnected {
                reason: "the fetch was given up".to_owned(),
            }))),
        }
    }

    /// Forgets a token that the upstream does not accept. A late word about an older token
    /// changes nothing.
    pub(crate) fn forget(&self, generation: u64) {
        let mut state = self.lock();
        let is_it = |have: &Have| have.token.generation() == Some(generation);
        if state.have.as_ref().is_some_and(is_it) {
            state.have = None;
        }
    }

    fn current(&self) -> Current {
        let now = Instant::now();
        let mut state = self.lock();
        // A fetch whose task is gone, because its runtime is, comes to no end.
        let running = state.fetch.clone().filter(|fetch| fetch.has_changed().is_ok());
        let failed = state.failed.clone().filter(|(_, until)| now < *until);
        if let Some(have) = state.have.as_ref().filter(|have| now < have.end) {
            let token = have.token.clone();
            if now >= have.refresh && running.is_none() && failed.is_none() {
                self.start(&mut state);
            }
            return Current::Token(token);
        }
        match (running, failed) {
            (Some(fetch), _) => Current::Fetch(fetch),
            (None, Some((error, _))) => Current::Failed(error),
            (None, None) => Current::Fetch(self.start(&mut state)),
        }
    }

    /// Starts a fetch in a task of its own, so that the first asker can leave without taking the
    /// token from the others. It ends by its own timeout.
    fn start(&self, state: &mut State) -> Fetch {
        let (sender, receiver) = watch::channel(None);
        state.fetch = Some(receiver.clone());
        tokio::spawn(self.clone().fetch(sender));
        receiver
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
                state.failed = Some((error.clone(), after(wait)));
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
