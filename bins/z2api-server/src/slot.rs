//! What a request holds while it is in flight.

use z2api_admission::Permit;

use crate::auth::Share;

/// A permit of the gateway and a share of the caller's own limit. Whoever sends an answer owns it
/// until the last byte; dropping it gives both back.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: Permit,
    _share: Share,
}

impl Slot {
    pub(crate) fn new(permit: Permit, share: Share) -> Self {
        Self { _permit: permit, _share: share }
    }
}
