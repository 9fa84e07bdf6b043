//! The upstream's answer as it is heard. Who lets go of it before its end leaves a note of that in
//! the request's record, whatever the reason.

use std::task::{Context, Poll};

use z2api_observability::Tries;
use z2api_upstream_client::{Error, EventStream};
use z2api_wire::event::Event;

/// The events of one answer. Dropping it closes the upstream connection.
#[derive(Debug)]
pub(crate) struct Hearing {
    events: EventStream,
    tries: Tries,
}

impl Hearing {
    pub(crate) fn new(events: EventStream, tries: Tries) -> Self {
        Self { events, tries }
    }

    /// As [`EventStream::poll_events`].
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Poll<Option<Result<(), Error>>> {
        self.events.poll_events(cx, each)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if !self.events.has_ended() {
            self.tries.let_go();
        }
    }
}
