//! A streamed answer: one poll through, upstream bytes in, client bytes out.
//!
//! Owns the slot and the record of its request, so that end, error and hang-up are one path: the
//! answer is dropped, the upstream connection closes, the slot returns, the log line is written.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch::Receiver;
use tokio::task::coop::{has_budget_remaining, unconstrained};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use z2api_observability::{RequestRecord, Said};
use z2api_stream_transform::{Encoder, Progress, Transform};
use z2api_upstream_client::Failed;

use crate::app::App;
use crate::body::{Frames, note_drop};
use crate::chat::{note_counts, note_end};
use crate::connection::Why;
use crate::error::ApiError;
use crate::hearing::Hearing;
use crate::live::Live;
use crate::slot::Slot;
use crate::tee::Tee;

/// The upstream, asked but not yet answering.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Hearing, Failed>> + Send>>;

/// Why a stream is cut off from outside. One future, in a set so that it is polled when it is woken,
/// and not with every event.
type Cut = FuturesUnordered<Pin<Box<dyn Future<Output = ApiError> + Send>>>;

/// A streamed answer, written by `E`. Cannot be had without a slot.
pub(crate) struct Answer<E> {
    upstream: Upstream,
    transform: Transform,
    encoder: E,
    /// Bytes to gather before waiting for the client.
    buffer: usize,
    heartbeat: Option<Heartbeat>,
    cut: Cut,
    /// The text so far, where the log is to have it.
    kept: Option<Said>,
    record: Option<Box<RequestRecord>>,
    /// Whether events have come since the client last got something.
    fresh: bool,
    /// When the client was handed something, if it has not come for more.
    handed: Option<Instant>,
    /// Whether the gateway's stop has run out of time.
    out_of_time: Receiver<bool>,
    /// Whether the upstream wakes whoever asked last.
    waits: bool,
    slot: Slot,
}

/// Where the events come from.
#[expect(clippy::large_enum_variant, reason = "it streams for nearly all of its life")]
pub(crate) enum Upstream {
    /// Asked, but not yet answering.
    Opening(Opening),
    /// Its first events are there.
    Streaming(Hearing),
    /// Everything has been said; nothing follows what is in the encoder.
    Over,
}

/// Breaks a silence with a comment.
struct Heartbeat {
    every: Duration,
    /// When the stream said something last.
    said: Instant,
    /// Fires at or before the next beat; set anew only when it has fired.
    next: Pin<Box<Sleep>>,
    /// Whether somebody waits for it.
    awaited: bool,
}

impl Heartbeat {
    fn new(every: Duration) -> Self {
        Self { every, said: Instant::now(), next: Box::pin(sleep(every)), awaited: false }
    }

    /// Resolves when the silence has lasted too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.said + self.every;
        while self.next.as_mut().poll(cx).is_ready() {
            self.awaited = false;
            if self.next.deadline() >= due {
                return Poll::Ready(());
            }
            self.next.as_mut().reset(due);
        }
        // A task that has used up its turn is refused before the timer hears of it.
        self.awaited = has_budget_remaining();
        Poll::Pending
    }

    /// Whether it wakes whoever has polled it.
    fn is_armed(&self) -> bool {
        self.awaited && !self.next.is_elapsed()
    }
}

impl<E: Encoder> Answer<E> {
    /// The answer of an upstream that has been asked. `encoder` has what the stream begins with.
    pub(crate) fn new(
        app: &Arc<App>,
        live: &Live,
        upstream: Upstream,
        transform: Transform,
        encoder: E,
        slot: Slot,
        mut record: Box<RequestRecord>,
    ) -> Self {
        record.status(200);
        Self {
            upstream,
            transform,
            encoder,
            buffer: live.limits.stream_buffer,
            heartbeat: live.limits.heartbeat.map(Heartbeat::new),
            cut: cut(app, live.limits.hold, &slot),
            kept: live.log.answers.then(Said::default),
            record: Some(record),
            slot,
            fresh: false,
            handed: None,
            out_of_time: app.out_of_time.subscribe(),
            waits: false,
        }
    }

    /// Takes what the upstream has ready, up to the buffer's size.
    fn fill(&mut self, cx: &mut Context<'_>) {
        self.waits = false;
        while self.encoder.len() < self.buffer {
            match &mut self.upstream {
                Upstream::Over => return,
                Upstream::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Pending => return self.waits = true,
                    Poll::Ready(Ok(hearing)) => self.upstream = Upstream::Streaming(hearing),
                    Poll::Ready(Err(failed)) => self.fail(&ApiError::from(&failed.error)),
                },
                Upstream::Streaming(hearing) => {
                    let Self { transform, encoder, kept, record, fresh, .. } = self;
                    let mut tee = Tee { sink: encoder, kept: kept.as_mut() };
                    let (count, heard) = hearing.poll_into(cx, transform, &mut tee);
                    *fresh |= count > 0;
                    if let Some(record) = record {
                        record.events(count);
                    }
                    match heard {
                        Poll::Ready(Ok(Progress::More)) => {}
                        Poll::Ready(Ok(Progress::Whole)) => self.end(),
                        Poll::Ready(Err(error)) => self.fail(&error),
                        Poll::Pending => return self.waits = true,
                    }
                }
            }
        }
    }

    /// Nothing to say: ready once there is a heartbeat.
    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(heartbeat) = &mut self.heartbeat else { return Poll::Pending };
        ready!(heartbeat.poll(cx));
        self.encoder.keep_alive();
        Poll::Ready(())
    }

    /// Ends it if something outside says so. That wakes this task from then on.
    fn heed(&mut self, cx: &mut Context<'_>) {
        if matches!(self.upstream, Upstream::Over) {
            return;
        }
        if self.slot.listed.must_end() {
            self.fail(&ApiError::out_of_memory());
        } else if let Poll::Ready(Some(error)) = self.cut.poll_next_unpin(cx) {
            self.fail(&error);
        }
    }

    fn end(&mut self) {
        let mut tee = Tee { sink: &mut self.encoder, kept: self.kept.as_mut() };
        if let Err(error) = self.transform.end(&mut tee) {
            return self.fail(&ApiError::from(&error));
        }
        if let Some(record) = &mut self.record {
            note_end(&self.transform, record);
            note_counts(&self.transform, record);
        }
        self.upstream = Upstream::Over;
    }

    /// What was held back, balanced tags, one error event; no finish reason, no `[DONE]`.
    fn fail(&mut self, error: &ApiError) {
        let mut tee = Tee { sink: &mut self.encoder, kept: self.kept.as_mut() };
        self.transform.abort(&mut tee);
        self.encoder.error(error.status.as_u16(), &error.object());
        if let Some(record) = &mut self.record {
            note_counts(&self.transform, record);
            record.fail(error.failure());
        }
        self.upstream = Upstream::Over;
    }
}

impl<E> Answer<E> {
    /// The record is written as `end` says, with the text so far if the log is to have it.
    fn close_record(&mut self, end: impl FnOnce(Box<RequestRecord>)) {
        if let Some(mut record) = self.record.take() {
            if let Some(kept) = self.kept.take() {
                record.answer(kept);
            }
            if let Some(handed) = self.handed.take() {
                record.waited_for_client(handed);
            }
            end(record);
        }
    }
}

/// A client that hung up has had the text so far. One that is cut off by the gateway's stop has not
/// hung up.
impl<E> Drop for Answer<E> {
    fn drop(&mut self) {
        if let (false, Some(record)) = (matches!(self.upstream, Upstream::Over), &mut self.record) {
            note_counts(&self.transform, record);
        }
        if let (true, Some(record)) = (*self.out_of_time.borrow(), &mut self.record) {
            record.fail_first(ApiError::shutting_down().failure());
        }
        // Before its record is written: a try that is under way is given up by that, and noted.
        self.upstream = Upstream::Over;
        self.close_record(drop);
    }
}

impl<E: Encoder + Send> Frames for Answer<E> {
    fn is_over(&self) -> bool {
        matches!(self.upstream, Upstream::Over) && self.encoder.is_empty()
    }

    fn dropped(&mut self, why: Why) {
        if let Some(record) = &mut self.record {
            note_drop(record, why);
        }
    }

    fn sent(&mut self) {
        self.close_record(|record| record.whole());
    }

    fn is_waiting(&self) -> bool {
        self.waits && self.heartbeat.as_ref().is_none_or(Heartbeat::is_armed)
    }

    fn taken_at_once(&mut self) {
        self.handed = None;
    }

    fn not_taken_yet(&mut self) {
        self.handed = Some(Instant::now());
    }

    /// Whatever broke may have been half-way through a chunk: what has not gone out does not. The
    /// transform is not asked again.
    fn broke(&mut self) {
        let error = ApiError::panicked();
        // First of all: what follows may panic too.
        if let Some(record) = &mut self.record {
            record.fail(error.failure());
            note_counts(&self.transform, record);
        }
        drop(self.encoder.take());
        self.encoder.error(error.status.as_u16(), &error.object());
        self.upstream = Upstream::Over;
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.heed(cx);
        if let (Some(handed), Some(record)) = (self.handed.take(), &mut self.record) {
            record.waited_for_client(handed);
        }
        let clock = self.record.as_ref().and_then(|record| record.clock());
        self.fill(cx);
        if self.encoder.is_empty() && !matches!(self.upstream, Upstream::Over) {
            ready!(self.silence(cx));
        }
        if self.encoder.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = self.encoder.take();
        self.slot.listed.grows(bytes.len() as u64);
        if let Some(record) = &mut self.record {
            // A comment that breaks a silence is no event on its way.
            let clock = clock.filter(|_| std::mem::take(&mut self.fresh));
            record.frame(bytes.len() as u64, clock);
        }
        let now = Instant::now();
        self.handed = Some(now);
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.said = now;
        }
        Poll::Ready(Some(bytes))
    }
}

impl<E> std::fmt::Debug for Answer<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// Resolves when the request has held its slot for too long, or the gateway must go.
fn cut(app: &Arc<App>, hold: Duration, slot: &Slot) -> Cut {
    let told_to_end = slot.listed.told();
    let mut out_of_time = app.out_of_time.subscribe();
    let held_too_long = sleep_until(slot.since() + hold);
    let cut = async move {
        tokio::select! {
            () = held_too_long => ApiError::held_too_long(),
            _ = out_of_time.wait_for(|over| *over) => ApiError::shutting_down(),
            () = told_to_end => ApiError::out_of_memory(),
        }
    };
    // Where both sides keep up, each turn of the task is used up by the stream.
    let cut = unconstrained(cut);
    FuturesUnordered::from_iter([Box::pin(cut) as Pin<Box<dyn Future<Output = ApiError> + Send>>])
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::coop::poll_proceed;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_wakes_nobody_who_asked_at_the_end_of_a_turn() {
        let mut heartbeat = Heartbeat::new(Duration::from_secs(1));
        poll_fn(|cx| {
            while let Poll::Ready(turn) = poll_proceed(cx) {
                turn.made_progress();
            }
            assert!(heartbeat.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(!heartbeat.is_armed());
        tokio::task::yield_now().await;
        let polled = poll_fn(|cx| Poll::Ready(heartbeat.poll(cx))).await;
        assert!(polled.is_pending());
        assert!(heartbeat.is_armed());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!heartbeat.is_armed());
    }
}
