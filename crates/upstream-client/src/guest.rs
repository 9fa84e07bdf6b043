//! Guest tokens of the web chat: one at a time, shared by all, fetched by one.

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
use crate::error::{Error, Wait};
use crate::token::Token;
use crate::transport::Transport;

/// How long a token is used. It carries no expiry, and the upstream names none.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long one fetch may take, whoever waits for it.
const MAX_FETCH: Duration = Duration::from_secs(30);

/// Gives out the current guest token. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guests {
    transport: Arc<dyn Transport>,
    headers: HeaderMap,
    url: Uri,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many tokens there have been.
    generation: u64,
    current: Current,
}

#[derive(Default)]
enum Current {
    #[default]
    None,
    Fetching(watch::Receiver<Option<Outcome>>),
    Have {
        token: Token,
        since: Instant,
    },
}

type Outcome = Result<Token, Error>;

impl Guests {
    pub(crate) fn new(transport: Arc<dyn Transport>, headers: HeaderMap, url: Uri) -> Self {
        Self { transport, headers, url, state: Arc::default() }
    }

    /// The current token, or a new one.
    ///
    /// Many who ask at once wait for the same fetch. Dropping this future leaves the fetch to
    /// the others.
    ///
    /// # Errors
    /// [`Error::Blocked`] or [`Error::Guest`], for all who wait; whoever asks next tries anew.
    pub(crate) async fn token(&self) -> Outcome {
        let mut fetch = match self.current() {
            Ok(token) => return Ok(token),
            Err(fetch) => fetch,
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
        if let Current::Have { token, .. } = &state.current
            && token.generation() == Some(generation)
        {
            state.current = Current::None;
        }
    }

    fn current(&self) -> Result<Token, watch::Receiver<Option<Outcome>>> {
        let mut state = self.lock();
        match &state.current {
            Current::Have { token, since } if since.elapsed() < MAX_AGE => Ok(token.clone()),
            Current::Fetching(fetch) if fetch.has_changed().is_ok() => Err(fetch.clone()),
            Current::Have { .. } | Current::Fetching(_) | Current::None => {
                let (sender, receiver) = watch::channel(None);
                state.current = Current::Fetching(receiver.clone());
                // A task of its own, so that the first asker can leave without taking the token
                // from the others. It ends by its own timeout.
                tokio::spawn(self.clone().fetch(sender));
                Err(receiver)
            }
        }
    }

    async fn fetch(self, sender: watch::Sender<Option<Outcome>>) {
        let outcome = match timeout(MAX_FETCH, self.ask()).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Error::Timeout { wait: Wait::GuestToken, limit: MAX_FETCH }),
        };
        let mut state = self.lock();
        let outcome = outcome.and_then(|guest| {
            let token = Token::guest(&guest.token, state.generation + 1).ok_or_else(no_token)?;
            state.generation += 1;
            Ok(token)
        });
        state.current = match &outcome {
            Ok(token) => Current::Have { token: token.clone(), since: Instant::now() },
            Err(_) => Current::None,
        };
        drop(state);
        let outcome = outcome.map_err(|error| match error {
            blocked @ Error::Blocked { .. } => blocked,
            error => Error::Guest(Box::new(error)),
        });
        sender.send_replace(Some(outcome));
    }

    async fn ask(&self) -> Result<Guest, Error> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().extend(self.headers.clone());
        let answer = self.transport.send(request).await?;
        let body = answer::small(answer, Dialect::ZaiWeb).await?;
        serde_json::from_slice(&body).map_err(|_| no_token())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_token() -> Error {
    Error::Malformed(Malformed::NotJson("the guest record holds no token".to_owned()))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::http::Http;
    use crate::settings::Settings;

    /// Guests of which the second is the current one. Nobody listens at their URL.
    fn guests() -> Guests {
        let url = "http://127.0.0.1:9/api/chat/completions".to_owned();
        let settings = Settings { url, ..Settings::default() };
        let endpoint = Endpoint::new(&settings).unwrap();
        let guests = Guests::new(
            Arc::new(Http::new(&settings.timeouts).unwrap()),
            HeaderMap::new(),
            endpoint.guest,
        );
        let token = Token::guest("of-the-second", 2).unwrap();
        let current = Current::Have { token, since: Instant::now() };
        *guests.lock() = State { generation: 2, current };
        guests
    }

    #[tokio::test]
    async fn a_late_word_about_an_older_token_changes_nothing() {
        let guests = guests();
        guests.forget(1);
        assert_eq!(guests.current().unwrap().generation(), Some(2));
        guests.forget(2);
        assert!(guests.current().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_for_its_age_and_no_longer() {
        let guests = guests();
        advance(MAX_AGE - Duration::from_secs(1)).await;
        assert!(guests.current().is_ok());
        advance(Duration::from_secs(1)).await;
        assert!(guests.current().is_err());
    }
}
