//! Connections that were refused or broke the rules, as the operator hears of them: each is counted,
//! and told by a line, of each kind at most one a second. Nothing that the peer sent is in it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use z2api_observability::RequestId;

use super::sparing::Sparing;
use super::watch::Why;
use crate::app::App;

/// What has been told of each kind.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Why, Sparing>>);

/// What more there is to say of one.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// In the words of the library that found it.
    pub(crate) reason: String,
    /// By which the peer was told, if it was.
    pub(crate) id: Option<RequestId>,
}

impl Refusals {
    fn happens(&self, why: Why) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(why).or_default().happens()
    }
}

/// A connection is dropped or refused.
pub(crate) fn note(app: &App, peer: SocketAddr, why: Why, refused: &Refused) {
    let kind = why.as_str();
    app.counters.metrics().connection_dropped(kind);
    if !why.is_told() {
        return;
    }
    let Some(times) = app.refusals.happens(why) else { return };
    let reason = (!refused.reason.is_empty()).then_some(refused.reason.as_str());
    let request_id = refused.id.as_ref().map(RequestId::as_str);
    tracing::warn!(
        r#type = "connection",
        kind,
        %peer,
        reason,
        request_id,
        times,
        "a connection was refused"
    );
}
