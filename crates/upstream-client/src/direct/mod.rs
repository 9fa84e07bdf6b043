//! HTTP/1.1: a connection for each answer, driven by whoever reads the answer.
//!
//! The streaming path is our own here, down to the socket. An event of an answer wakes one task; its
//! bytes are read into space on the stack, freed of their framing and handed on, all those of one
//! read together. A connection that waits holds no buffer.

mod answer;
mod chunks;
mod framing;
mod head;
mod link;
mod pool;
mod request;

use std::sync::Arc;

use ::http::{Request, Response};
use bytes::Bytes;

use self::answer::Answer;
use self::link::{Link, Unanswered};
use self::pool::Pool;
use self::request::Outgoing;
use crate::connector::{Connector, Socket};
use crate::http::POOL_IDLE;
use crate::transport::{Body, TransportError};

/// The connections to one upstream. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Direct {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
}

impl Direct {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector: Arc::new(connector), pool: Arc::default() }
    }

    /// Sends a request on a connection that is idle, or on a new one.
    pub(crate) async fn send(
        self,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, TransportError> {
        let request = Outgoing::new(request);
        loop {
            let (mut link, used) = match self.pool.take() {
                Some(link) => (link, true),
                None => (self.open().await?, false),
            };
            match link.send(&request).await {
                Ok(head) => {
                    let answer = Answer::new(head, link, self.pool);
                    return Ok(answer.map(|body| Box::pin(body) as Body));
                }
                // This ends: each turn uses one up, and a new one is the last.
                Err(Unanswered::Unsent(_)) if used => {}
                Err(Unanswered::Unsent(error) | Unanswered::Sent(error)) => return Err(error),
            }
        }
    }

    /// Keeps a connection that was opened to find out what the upstream speaks.
    pub(crate) fn keep(&self, socket: Socket) {
        self.pool.put(Link::new(socket), POOL_IDLE);
    }

    /// Closes the connections that wait for a request.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
    }

    async fn open(&self) -> Result<Link, TransportError> {
        let connector = &self.connector;
        connector.in_time(connector.connect()).await.map(Link::new)
    }
}
