//! Guests: tokens given to whoever asks without one.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{faults, script::Script};

/// How the guest endpoint behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guests {
    /// Each request gets a new guest.
    #[default]
    Fine,
    /// Each request is refused with this status.
    Status(u16),
    /// Each request gets a new guest, but its response head comes only after so long.
    Slow(Duration),
}

/// The guests created so far.
#[derive(Debug, Default)]
pub(crate) struct GuestBook {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    behaviour: Guests,
    /// How many tokens were given; the last one bears this number.
    given: usize,
    /// Tokens up to this number are worth nothing any more.
    revoked: usize,
}

impl GuestBook {
    pub(crate) fn behave(&self, behaviour: Guests) {
        self.lock().behaviour = behaviour;
    }

    pub(crate) fn revoke(&self) {
        let mut inner = self.lock();
        inner.revoked = inner.given;
    }

    /// Whether the token is one of a guest whose time is over.
    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        let number = token.strip_prefix(PREFIX).and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| number <= self.lock().revoked)
    }

    /// Whether the token is a guest's, of whatever worth.
    pub(crate) fn is_guest(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// The answer of the guest endpoint; with a token, about its owner.
    pub(crate) fn answer(&self, token: Option<&str>) -> Script {
        let mut inner = self.lock();
        let wait = match inner.behaviour {
            Guests::Fine => Duration::ZERO,
            Guests::Slow(wait) => wait,
            Guests::Status(status) => return faults::detail(status, "No guests are received now."),
        };
        let script = match token {
            Some(token) => record("user", "Simulated user", token),
            None => {
                inner.given += 1;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let name = format!("Guest-{}", now.as_millis());
                record("guest", &name, &format!("{PREFIX}{:04}", inner.given))
            }
        };
        script.head_after(wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No real token looks like this.
const PREFIX: &str = "sim-guest-";

fn record(role: &str, name: &str, token: &str) -> Script {
    faults::json(
        200,
        &json!({
            "id": format!("sim-id-of-{token}"),
            "email": format!("{}@guest.example", name.replace(' ', "-")),
            "name": name,
            "role": role,
            "profile_image_url": "",
            "token": token,
            "token_type": "Bearer",
        }),
    )
}
