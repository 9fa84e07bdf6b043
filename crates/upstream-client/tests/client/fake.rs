//! An upstream without a socket, behind the client's seam: time can stand still there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use tokio::time::{Instant, sleep};
use z2api_upstream_client::{Body, Client, Dialect, Secret, Settings, Transport, TransportError};

use crate::support::{API_FINISH, TOKEN, api_text, framed};

/// How one request is answered.
pub(crate) struct Reply {
    after: Duration,
    outcome: Result<Response<Vec<Bytes>>, TransportError>,
    /// The body comes to no end.
    open: bool,
}

impl Reply {
    pub(crate) fn status(status: u16, body: impl Into<String>) -> Self {
        let body = vec![Bytes::from(body.into())];
        let answer = Response::builder().status(status).body(body).unwrap();
        Self { after: Duration::ZERO, outcome: Ok(answer), open: false }
    }

    /// A refusal in the words of the official API.
    pub(crate) fn code(status: u16, code: &str) -> Self {
        Self::status(status, format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#))
    }

    /// A whole answer.
    pub(crate) fn fine() -> Self {
        let events = framed(&[&api_text("fine"), API_FINISH, "[DONE]"]);
        Self::status(200, events).header("content-type", "text/event-stream")
    }

    /// An answer that has begun and comes to no end.
    pub(crate) fn begun() -> Self {
        let reply = Self::status(200, framed(&[&api_text("fine")]));
        Self { open: true, ..reply.header("content-type", "text/event-stream") }
    }

    fn broken(error: TransportError) -> Self {
        Self { after: Duration::ZERO, outcome: Err(error), open: false }
    }

    /// No connection comes about.
    pub(crate) fn refused() -> Self {
        Self::broken(TransportError::connect("refused"))
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(answer) = &mut self.outcome {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        self
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// One request as it arrived.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    /// Empty for a request without a token.
    pub(crate) bearer: String,
}

type Plan = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// Answers by its plan, which gets the request and its number, counted from 0.
#[derive(Clone)]
pub(crate) struct Fake {
    plan: Arc<Plan>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) fn new(plan: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { plan: Arc::new(plan), asked: Arc::default() }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How long after the first request each one came, in milliseconds.
    pub(crate) fn times(&self) -> Vec<u128> {
        let asked = self.asked();
        asked.iter().map(|one| (one.at - asked[0].at).as_millis()).collect()
    }

    pub(crate) fn client(&self, change: impl FnOnce(&mut Settings)) -> Client {
        let mut settings = Settings::default();
        settings.url = "https://upstream.test/v4/chat/completions".to_owned();
        settings.dialect = Some(Dialect::OpenAi);
        settings.token = Some(Secret::new(TOKEN));
        settings.retry.jitter_min = Duration::ZERO;
        settings.retry.jitter_max = Duration::ZERO;
        change(&mut settings);
        Client::with_transport(settings, self.clone()).unwrap()
    }
}

impl Transport for Fake {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>> {
        let bearer = request.headers().get("authorization").map(|header| header.to_str().unwrap());
        let bearer = bearer.map_or("", |header| header.strip_prefix("Bearer ").unwrap()).to_owned();
        let asked = Asked { at: Instant::now(), bearer };
        let mut log = self.asked.lock().unwrap();
        let Reply { after, outcome, open } = (self.plan)(&asked, log.len());
        log.push(asked);
        async move {
            sleep(after).await;
            outcome.map(|answer| {
                answer.map(|writes| Box::pin(Writes { writes: writes.into(), open }) as Body)
            })
        }
        .boxed()
    }
}

struct Writes {
    writes: VecDeque<Bytes>,
    open: bool,
}

impl http_body::Body for Writes {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match self.writes.pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}
