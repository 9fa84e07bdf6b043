//! Who may ask: headers only, before anything costs anything.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use z2api_observability::mask_key;
use z2api_upstream_client::Secret;

use crate::error::ApiError;

/// The API keys, as digests: of equal length, so that comparing them tells nothing.
pub(crate) struct Keys {
    digests: Vec<[u8; 32]>,
}

impl Keys {
    pub(crate) fn new(keys: &[Secret]) -> Self {
        Self { digests: keys.iter().map(|key| digest(key.expose().as_bytes())).collect() }
    }

    /// Answers the caller's key, masked.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<String, ApiError> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Err(ApiError::no_key()) };
        let key = bearer(value.as_bytes()).ok_or_else(ApiError::wrong_key)?;
        let asked = digest(key);
        // All are compared, whichever matches.
        let known = self.digests.iter().fold(Choice::from(0), |any, key| any | key.ct_eq(&asked));
        if bool::from(known) {
            Ok(mask_key(&String::from_utf8_lossy(key)))
        } else {
            Err(ApiError::wrong_key())
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.digests.len())
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The credentials of the Bearer scheme, whose name may be in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(6)?;
    let key = key.strip_prefix(b" ")?.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(value: &'static str) -> bool {
        let keys = Keys::new(&[Secret::new("one".to_owned()), Secret::new("two".to_owned())]);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        keys.check(&headers).is_ok()
    }

    #[test]
    fn only_a_bearer_with_a_known_key_passes() {
        assert!(passes("Bearer one") && passes("bearer two") && passes("BEARER  one "));
        for value in ["one", "Basic one", "Bearer", "Bearer ", "Bearer on", "Bearer one two", ""] {
            assert!(!passes(value), "{value:?}");
        }
    }
}
