//! What a request holds while it is in flight.

use z2api_admission::{Admission, Caller, Permit, Rejected, Share};

use crate::memory::Enlisted;

/// A permit of the gateway, one of the model if it has a limit of its own, and a line on the list of
/// those that must end if memory is gone. Whoever sends an answer owns it until the last byte; dropping it gives all back.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: Permit,
    _of_model: Option<Permit>,
    pub(crate) listed: Enlisted,
}

impl Slot {
    /// Waits for the model's permit, then for the gateway's, so that requests for a busy model
    /// hold up no others.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn take(
        share: Share,
        model: Option<&Admission>,
        caller: &Caller,
        listed: Enlisted,
    ) -> Result<Self, Rejected> {
        // The caller's own limits have been asked already: the share says so.
        let of_model = match model {
            Some(model) => Some(model.share(&Caller::unlimited(caller.key))?.admit().await?),
            None => None,
        };
        Ok(Self { _permit: share.admit().await?, _of_model: of_model, listed })
    }
}
