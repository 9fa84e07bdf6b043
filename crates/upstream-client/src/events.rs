//! The stream of an answer's events, under its clocks.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::Stream;
use z2api_wire::event::Event;
use z2api_wire::named::Named;

use crate::clocks::Clocks;
use crate::error::Error;
use crate::pool::Lease;
use crate::reader::{Read, Reader, is_begin};
use crate::settings::Timeouts;

/// The most events kept of those before the first that counts; older ones make way.
const MAX_EARLY: usize = 1024;

/// The events of one answer. It ends with None only if the answer is whole; an error is its last
/// item. The upstream is read no faster than the stream is polled.
///
/// Dropping it closes the upstream connection, or gives it back if the answer has ended. It counts
/// as in flight until it is over or dropped.
pub struct EventStream {
    /// Events that were read already: by the wait for the first one, or ahead of `poll_next`.
    early: VecDeque<Event<'static>>,
    reader: Reader,
    clocks: Clocks,
    /// The token's place in flight, until the answer is over.
    lease: Option<Lease>,
    over: bool,
}

impl EventStream {
    /// Waits for the first event that counts. `unknown` counts the events of unknown shape before it
    /// that the stream does not hand on.
    ///
    /// # Errors
    /// Whatever comes instead of it. The caller bounds the time.
    pub(crate) async fn begin(
        mut reader: Reader,
        timeouts: &Timeouts,
        unknown: &AtomicU64,
    ) -> Result<Self, Error> {
        let mut early = VecDeque::new();
        let mut begun = false;
        poll_fn(|cx| {
            loop {
                let read = reader.poll(cx, &mut |event| {
                    begun |= is_begin(&event);
                    unknown.fetch_add(u64::from(is_unknown(&event)), Relaxed);
                    if early.len() >= MAX_EARLY && !begun {
                        early.pop_front();
                    }
                    early.push_back(event.into_owned());
                });
                match read {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Read::Events { .. }) if begun => return Poll::Ready(Ok(())),
                    Poll::Ready(Read::Nothing | Read::Events { .. }) => {}
                    Poll::Ready(Read::End) => return Poll::Ready(Err(Error::Empty)),
                    Poll::Ready(Read::Failed(error)) => return Poll::Ready(Err(error)),
                }
            }
        })
        .await?;
        let handed_on = early.iter().filter(|event| is_unknown(event)).count();
        unknown.fetch_sub(handed_on as u64, Relaxed);
        let clocks = Clocks::start(timeouts.idle, timeouts.lifetime);
        Ok(Self { early, reader, clocks, lease: None, over: false })
    }

    /// Gives it what it has to hold to its end.
    pub(crate) fn hold(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// What the upstream calls the answer, and the model that gives it. None where the dialect has no
    /// names for them.
    pub fn named(&self) -> Option<&Named> {
        self.reader.named()
    }

    /// Whether the upstream has come to the end of its answer: a whole one, one with an error, or
    /// one that it broke off; also where what came last has not been asked for yet. False after a
    /// failure that leaves the upstream at work: one of the clocks, or what cannot be read.
    pub fn has_ended(&self) -> bool {
        self.reader.has_ended()
    }

    /// Hands all events of one read of the upstream to `each`, without copying them.
    ///
    /// Gives `Some(Ok(()))` after a read with at least one event, `Some(Err(_))` once if the
    /// answer fails, and None after its end.
    ///
    /// # Errors
    /// [`Error::Timeout`] if nothing with content comes for the idle limit or the answer outlasts
    /// its lifetime, [`Error::Truncated`] and [`Error::Disconnected`] for a cut,
    /// [`Error::Malformed`], and whatever the upstream itself gives as an error.
    pub fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Poll<Option<Result<(), Error>>> {
        if !self.early.is_empty() {
            // The room for them goes too: nothing comes early any more.
            std::mem::take(&mut self.early).into_iter().for_each(each);
            return Poll::Ready(Some(Ok(())));
        }
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(error) = self.clocks.lifetime_is_over() {
            return self.fail(error);
        }
        loop {
            match self.reader.poll(cx, each) {
                Poll::Pending => {
                    return match self.clocks.poll(cx) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(error) => self.fail(error),
                    };
                }
                Poll::Ready(Read::Nothing) => {
                    if let Some(error) = self.clocks.idle_is_over() {
                        return self.fail(error);
                    }
                }
                Poll::Ready(Read::Events { content }) => {
                    if content {
                        self.clocks.feed();
                    }
                    return Poll::Ready(Some(Ok(())));
                }
                Poll::Ready(Read::End) => {
                    self.over = true;
                    self.lease = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Read::Failed(error)) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<(), Error>>> {
        self.over = true;
        self.lease = None;
        self.reader.close();
        Poll::Ready(Some(Err(error)))
    }
}

fn is_unknown(event: &Event<'_>) -> bool {
    matches!(event, Event::Unknown(_))
}

/// The same events one by one, copied.
impl Stream for EventStream {
    type Item = Result<Event<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.early.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let mut events = VecDeque::new();
            let read = self.poll_events(cx, &mut |event| events.push_back(event.into_owned()));
            self.early = events;
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("over", &self.over).finish_non_exhaustive()
    }
}
