//! Who may ask, and how much: headers only, before anything costs anything.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};
use z2api_config::{ApiKey, digest};
use z2api_observability::{RequestRecord, mask_key};

use crate::error::ApiError;
use crate::shape::Shape;

/// The API keys, as digests: of equal length, so that comparing them tells nothing.
pub(crate) struct Keys {
    keys: Vec<Arc<ApiKey>>,
}

/// Whoever has shown a good key.
#[derive(Clone)]
pub(crate) struct Caller {
    key: Arc<ApiKey>,
    masked: String,
}

impl Keys {
    /// The keys of the settings.
    pub(crate) fn new(settings: &[ApiKey]) -> Self {
        Self { keys: settings.iter().cloned().map(Arc::new).collect() }
    }

    /// Finds out who asks.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.bearer_of(headers, Shape::OpenAi)
    }

    /// Finds out who asks, as the clients of this shape show it.
    pub(crate) fn check_as(&self, shape: Shape, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match shape {
            Shape::OpenAi => self.check(headers),
            Shape::Anthropic => self.check_either(headers),
        }
    }

    /// Finds out who asks, by `x-api-key` as Anthropic's clients send it, or as
    /// [`Keys::check`] does. Some send both, and mean either.
    pub(crate) fn check_either(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let Some(key) = headers.get("x-api-key") else {
            return self.bearer_of(headers, Shape::Anthropic);
        };
        let by_key = self.find(key.as_bytes().trim_ascii(), Shape::Anthropic);
        by_key.or_else(|error| self.bearer_of(headers, Shape::Anthropic).or(Err(error)))
    }

    fn bearer_of(&self, headers: &HeaderMap, shape: Shape) -> Result<Caller, ApiError> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Err(ApiError::no_key(shape)) };
        let key = bearer(value.as_bytes()).ok_or_else(|| ApiError::wrong_key(shape))?;
        self.find(key, shape)
    }

    fn find(&self, shown: &[u8], shape: Shape) -> Result<Caller, ApiError> {
        let asked = digest(shown);
        let mut found = None;
        for key in &self.keys {
            // All are compared, whichever matches.
            if bool::from(key.digest.ct_eq(&asked)) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(|| ApiError::wrong_key(shape))?;
        if key.expires.is_some_and(|at| SystemTime::now() >= SystemTime::from(at)) {
            return Err(ApiError::expired_key());
        }
        let masked = mask_key(&String::from_utf8_lossy(shown));
        Ok(Caller { key: key.clone(), masked })
    }
}

/// Whether the headers show the key with this digest.
pub(crate) fn shows(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let matches = shown.map_or(Choice::from(0), |key| digest(key).ct_eq(expected));
    bool::from(matches)
}

impl Caller {
    /// The record says whose request it is.
    pub(crate) fn noted(self, record: &mut RequestRecord) -> Self {
        record.key(&self.masked, self.name());
        self
    }

    /// The digest of the key.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.key.digest
    }

    /// Whose key it is, if it has a name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.key.name.as_deref()
    }

    /// Whose requests they are and how many there may be, as admission counts them. The same key
    /// is the same caller, whatever a reload changes of its limits.
    pub(crate) fn in_admission(&self) -> z2api_admission::Caller {
        let [a, b, c, d, e, f, g, h, ..] = self.key.digest;
        z2api_admission::Caller {
            key: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            concurrent: self.key.concurrent,
            per_minute: self.key.per_minute,
        }
    }

    /// Whether the caller may ask this model, by its public name.
    pub(crate) fn may_ask(&self, model: &str) -> bool {
        let allowed = |models: &Vec<String>| models.iter().any(|m| m.eq_ignore_ascii_case(model));
        self.key.models.as_ref().is_none_or(allowed)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

/// The credentials of the Bearer scheme, whose name may be in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(6)?;
    let key = key.strip_prefix(b" ")?.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use z2api_upstream_client::Secret;

    use super::*;

    fn keys(limits: impl FnOnce(&mut ApiKey)) -> Keys {
        let key = |word: &str| ApiKey::unlimited(&Secret::new(word.to_owned()));
        let mut limited = key("two");
        limits(&mut limited);
        Keys::new(&[key("one"), limited])
    }

    fn check(keys: &Keys, value: &'static str) -> Result<Caller, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        keys.check(&headers)
    }

    #[test]
    fn only_a_bearer_with_a_known_key_passes() {
        let keys = keys(|_| {});
        let passes = |value| check(&keys, value).is_ok();
        assert!(passes("Bearer one") && passes("bearer two") && passes("BEARER  one "));
        for value in ["one", "Basic one", "Bearer", "Bearer ", "Bearer on", "Bearer one two", ""] {
            assert!(!passes(value), "{value:?}");
        }
    }

    #[test]
    fn x_api_key_is_a_key_only_where_it_is_asked_for() {
        let keys = keys(|_| {});
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "one".parse().unwrap());
        assert!(keys.check(&headers).is_err() && keys.check_either(&headers).is_ok());
        headers.insert("x-api-key", "three".parse().unwrap());
        assert!(keys.check_either(&headers).is_err());
        headers.insert(AUTHORIZATION, "Bearer two".parse().unwrap());
        assert!(keys.check_either(&headers).is_ok(), "one of two");
        headers.remove("x-api-key");
        headers.insert(AUTHORIZATION, "Bearer two".parse().unwrap());
        assert!(keys.check_either(&headers).is_ok());
    }

    #[test]
    fn each_key_is_one_caller_with_its_limits() {
        let keys = keys(|key| (key.concurrent, key.per_minute) = (Some(2), Some(30)));
        let caller = |value| check(&keys, value).ok().unwrap().in_admission();
        let (one, two) = (caller("Bearer one"), caller("Bearer two"));
        assert_ne!(one.key, two.key);
        assert_eq!(one.key, caller("bearer one").key);
        assert_eq!((one.concurrent, one.per_minute), (None, None));
        assert_eq!((two.concurrent, two.per_minute), (Some(2), Some(30)));
    }

    #[test]
    fn an_expired_key_is_not_good_any_more() {
        let keys = keys(|key| key.expires = Some("2020-01-01T00:00:00Z".parse().unwrap()));
        assert!(check(&keys, "Bearer two").is_err() && check(&keys, "Bearer one").is_ok());
    }
}
