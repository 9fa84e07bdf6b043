//! Who may ask, and how much: headers only, before anything costs anything.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::AcqRel};
use std::time::{Duration, SystemTime};

use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};
use z2api_config::{ApiKey, digest};
use z2api_observability::mask_key;

use crate::error::ApiError;

/// When a key that has all its requests in flight should come back.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// The API keys, as digests: of equal length, so that comparing them tells nothing.
pub(crate) struct Keys {
    keys: Vec<Arc<Key>>,
}

/// A key and its use.
struct Key {
    settings: ApiKey,
    in_flight: Arc<AtomicU32>,
    rate: Option<Arc<DefaultDirectRateLimiter>>,
}

/// Whoever has shown a good key.
#[derive(Clone)]
pub(crate) struct Caller {
    key: Arc<Key>,
    masked: String,
}

/// A caller's place among its own requests. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Share {
    in_flight: Arc<AtomicU32>,
}

impl Keys {
    /// The keys of the settings. One that was there before keeps its counts, also under new limits.
    pub(crate) fn new(settings: &[ApiKey], before: Option<&Self>) -> Self {
        let known =
            |key: &ApiKey| before?.keys.iter().find(|known| known.settings.digest == key.digest);
        Self { keys: settings.iter().map(|key| Key::new(key, known(key))).collect() }
    }

    /// Finds out who asks.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Err(ApiError::no_key()) };
        self.find(bearer(value.as_bytes()).ok_or_else(ApiError::wrong_key)?)
    }

    /// Finds out who asks, by `x-api-key` as Anthropic's clients send it, or as
    /// [`Keys::check`] does.
    pub(crate) fn check_either(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match headers.get("x-api-key") {
            Some(key) => self.find(key.as_bytes().trim_ascii()),
            None => self.check(headers),
        }
    }

    fn find(&self, shown: &[u8]) -> Result<Caller, ApiError> {
        let asked = digest(shown);
        let mut found = None;
        for key in &self.keys {
            // All are compared, whichever matches.
            if bool::from(key.settings.digest.ct_eq(&asked)) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(ApiError::wrong_key)?;
        if key.settings.expires.is_some_and(|at| SystemTime::now() >= SystemTime::from(at)) {
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

impl Key {
    fn new(settings: &ApiKey, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same_rate = before.filter(|before| before.settings.per_minute == settings.per_minute);
        let rate = |limit| Arc::new(RateLimiter::direct(Quota::per_minute(limit)));
        Arc::new(Self {
            settings: settings.clone(),
            in_flight: before.map(|before| before.in_flight.clone()).unwrap_or_default(),
            rate: match same_rate {
                Some(before) => before.rate.clone(),
                None => settings.per_minute.and_then(NonZeroU32::new).map(rate),
            },
        })
    }
}

impl Caller {
    /// The key as it may be shown.
    pub(crate) fn masked(&self) -> &str {
        &self.masked
    }

    /// The digest of the key.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.key.settings.digest
    }

    /// Whose key it is, if it has a name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.key.settings.name.as_deref()
    }

    /// Takes a place among the caller's own requests.
    pub(crate) fn take_share(&self) -> Result<Share, ApiError> {
        // Counted first: with the guard in hand, no way out can forget it. Counted without a limit
        // too: a reload may bring one.
        let before = self.key.in_flight.fetch_add(1, AcqRel);
        let share = Share { in_flight: self.key.in_flight.clone() };
        if let Some(limit) = self.key.settings.concurrent
            && before >= limit
        {
            return Err(ApiError::over_share("requests at once", limit, BUSY_WAIT));
        }
        if let (Some(rate), Some(limit)) = (&self.key.rate, self.key.settings.per_minute) {
            rate.check().map_err(|until| {
                let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
                ApiError::over_share("requests a minute", limit, wait)
            })?;
        }
        Ok(share)
    }

    /// Whether the caller may ask this model, by its public name.
    pub(crate) fn may_ask(&self, model: &str) -> bool {
        let allowed = |models: &Vec<String>| models.iter().any(|m| m.eq_ignore_ascii_case(model));
        self.key.settings.models.as_ref().is_none_or(allowed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, AcqRel);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.settings.name)
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
        Keys::new(&[key("one"), limited], None)
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
        headers.remove("x-api-key");
        headers.insert(AUTHORIZATION, "Bearer two".parse().unwrap());
        assert!(keys.check_either(&headers).is_ok());
    }

    #[test]
    fn a_caller_over_its_own_share_is_told_so() {
        let keys = keys(|key| key.concurrent = Some(1));
        let caller = check(&keys, "Bearer two").ok().unwrap();
        let share = caller.take_share().unwrap();
        assert_eq!(caller.take_share().unwrap_err().status.as_u16(), 429);
        // A reload forgets nothing of the key's use, whether it changes its limits or not.
        let reloaded = |concurrent, before: &Keys| {
            let mut settings = caller.key.settings.clone();
            settings.concurrent = concurrent;
            let keys = Keys::new(&[settings], Some(before));
            (check(&keys, "Bearer two").ok().unwrap(), keys)
        };
        let (same, keys) = reloaded(Some(1), &keys);
        assert!(same.take_share().is_err());
        let (free, keys) = reloaded(None, &keys);
        let second = free.take_share().unwrap();
        let (two, _) = reloaded(Some(2), &keys);
        assert!(two.take_share().is_err());
        drop(share);
        assert!(two.take_share().is_ok());
        drop(second);
    }

    #[test]
    fn a_reload_gives_nobody_a_new_minute() {
        let keys = keys(|key| key.per_minute = Some(1));
        let caller = check(&keys, "Bearer two").ok().unwrap();
        assert!(caller.take_share().is_ok());
        let mut settings = caller.key.settings.clone();
        settings.concurrent = Some(5);
        let again = Keys::new(&[settings], Some(&keys));
        assert!(check(&again, "Bearer two").ok().unwrap().take_share().is_err());
    }

    #[test]
    fn a_minute_has_so_many_requests_and_no_more() {
        let keys = keys(|key| key.per_minute = Some(2));
        let caller = check(&keys, "Bearer two").ok().unwrap();
        assert!(caller.take_share().is_ok() && caller.take_share().is_ok());
        let refused = caller.take_share().unwrap_err();
        assert_eq!(refused.response(Vec::new()).headers()["retry-after"], "30");
    }

    #[test]
    fn an_expired_key_is_not_good_any_more() {
        let keys = keys(|key| key.expires = Some("2020-01-01T00:00:00Z".parse().unwrap()));
        assert!(check(&keys, "Bearer two").is_err() && check(&keys, "Bearer one").is_ok());
    }
}
