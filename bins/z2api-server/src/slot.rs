//! What a request holds while it is in flight.

use tokio::time::Instant;
use z2api_admission::{Admission, Caller, Permit, Reason, Rejected, Share};
use z2api_observability::{Queue, Tries};

use crate::memory::Enlisted;

/// A permit of the gateway, one of the model if it has a limit of its own, and a line on the list of
/// those that must end if memory is gone. Whoever sends an answer owns it until the last byte; dropping it gives all back.
#[derive(Debug)]
pub(crate) struct Slot {
    permit: Permit,
    _of_model: Option<Permit>,
    pub(crate) listed: Enlisted,
}

impl Slot {
    /// Waits for the model's permit, then for the gateway's, so that requests for a busy model
    /// hold up no others. The waits are noted in `tries`.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn take(
        share: Share,
        model: Option<&Admission>,
        caller: &Caller,
        listed: Enlisted,
        tries: &Tries,
    ) -> Result<Self, Rejected> {
        // The caller's own limits have been asked already: the share says so.
        let of_model = match model {
            Some(model) => {
                let share = model.share(&Caller::unlimited(caller.key))?;
                Some(admit(share, tries, Queue::Model).await?)
            }
            None => None,
        };
        let permit = admit(share, tries, Queue::Slot).await?;
        Ok(Self { permit, _of_model: of_model, listed })
    }

    /// Since when it is held.
    pub(crate) fn since(&self) -> Instant {
        self.permit.since()
    }
}

async fn admit(share: Share, tries: &Tries, queue: Queue) -> Result<Permit, Rejected> {
    let waiting = tries.wait(queue);
    let admitted = share.admit().await;
    if admitted.as_ref().is_err_and(|rejected| !is_told_to_waiters(rejected.reason)) {
        waiting.forget();
    }
    admitted
}

/// Whether one may have waited in vain before it: that time is told as any other in the queue.
fn is_told_to_waiters(reason: Reason) -> bool {
    matches!(reason, Reason::QueueTimeout | Reason::OverFairShare | Reason::Draining)
}
