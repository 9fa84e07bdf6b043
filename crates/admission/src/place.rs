//! A place in the queue.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::{Permit, Rejected, Share};

/// A place in the queue, to be waited in. Dropping it leaves the queue; a permit that came
/// meanwhile is given on.
#[derive(Debug)]
pub(crate) struct Place {
    /// None once there is an answer.
    share: Option<Share>,
    ticket: u64,
}

impl Place {
    pub(crate) fn new(share: Share, ticket: u64) -> Self {
        Self { share: Some(share), ticket }
    }

    /// Waits no longer.
    pub(crate) fn give_up(mut self) -> Result<Permit, Rejected> {
        let share = self.share.take().expect("no answer yet: the wait was over first");
        let (key, now) = (share.key(), Instant::now());
        let since = share.shared().with(|state| state.give_up(key, self.ticket, now))?;
        Ok(Permit::new(share, since))
    }
}

impl Future for Place {
    type Output = Result<Permit, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket;
        let share = self.share.as_ref().expect("not polled after its answer");
        let key = share.key();
        let answer = share.shared().with(|state| state.poll(key, ticket, cx.waker()));
        answer.map(|answer| {
            let share = self.share.take().expect("it was there a moment ago");
            answer.map(|since| Permit::new(share, since))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(share) = self.share.take() {
            let (key, now) = (share.key(), Instant::now());
            share.shared().with(|state| state.leave(key, self.ticket, now));
        }
    }
}
