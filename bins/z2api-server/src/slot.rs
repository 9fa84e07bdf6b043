//! What a request holds while it is in flight.

use z2api_admission::{Admission, Permit, Rejected};

use crate::auth::Share;

/// A permit of the gateway, one of the model if it has a limit of its own, and a share of the
/// caller's. Whoever sends an answer owns it until the last byte; dropping it gives all back.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: Permit,
    _of_model: Option<Permit>,
    _share: Share,
}

impl Slot {
    /// Waits for the model's permit, then for the gateway's, so that requests for a busy model
    /// hold up no others.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn take(
        gateway: &Admission,
        model: Option<&Admission>,
        share: Share,
    ) -> Result<Self, Rejected> {
        let of_model = match model {
            Some(model) => Some(model.admit().await?),
            None => None,
        };
        let permit = gateway.admit().await?;
        Ok(Self { _permit: permit, _of_model: of_model, _share: share })
    }
}
