//! The upstream's answer as it is heard. Who lets go of it before its end leaves a note of that in
//! the request's record, whatever the reason.

use std::task::{Context, Poll};

use z2api_observability::Tries;
use z2api_stream_transform::{Progress, Sink, Transform, TransformError};
use z2api_upstream_client::EventStream;

use crate::error::ApiError;

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

    /// Says what there is, by way of the transform: how many events that were, and whether more of the
    /// answer is to come.
    pub(crate) fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        transform: &mut Transform,
        sink: &mut impl Sink,
    ) -> (u64, Poll<Result<Progress, ApiError>>) {
        let mut count = 0;
        let mut outcome: Result<Progress, TransformError> = Ok(Progress::More);
        let polled = self.events.poll_events(cx, &mut |event| {
            count += 1;
            if matches!(outcome, Ok(Progress::More)) {
                outcome = transform.push(&event, sink);
            }
        });
        let heard = match (outcome, polled) {
            (Err(error), _) => Poll::Ready(Err(ApiError::from(&error))),
            (Ok(Progress::Whole), _) | (_, Poll::Ready(None)) => Poll::Ready(Ok(Progress::Whole)),
            (_, Poll::Ready(Some(Err(error)))) => Poll::Ready(Err(ApiError::from(&error))),
            (_, Poll::Ready(Some(Ok(())))) => Poll::Ready(Ok(Progress::More)),
            (_, Poll::Pending) => Poll::Pending,
        };
        (count, heard)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if !self.events.has_ended() {
            self.tries.let_go();
        }
    }
}
