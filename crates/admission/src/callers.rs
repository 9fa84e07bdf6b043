//! What each caller has of the whole, and whether it may have more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::Reason;

const MINUTE: Duration = Duration::from_secs(60);
/// Fewer callers than this are not worth a look for idle ones.
const FEW: usize = 64;

/// Whoever asks. All with the same key share what it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Stands for the caller; means nothing here.
    pub key: u64,
    /// How many requests it may have going. None: any number.
    pub concurrent: Option<u32>,
    /// How many requests it may make in a minute, all at once if it likes. None: any number.
    pub per_minute: Option<u32>,
}

impl Caller {
    /// A caller without limits of its own.
    pub fn unlimited(key: u64) -> Self {
        Self { key, concurrent: None, per_minute: None }
    }
}

/// What a caller has left of the requests that it may make in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many it may make in a minute.
    pub limit: u32,
    /// How many it may make now, all at once if it likes.
    pub left: u32,
    /// When it may make as many as ever, if it makes none until then.
    pub whole_after: Duration,
}

/// All callers that have something.
#[derive(Debug)]
pub(crate) struct Callers {
    known: BTreeMap<u64, Usage>,
    /// How many have a permit or wait for one.
    active: usize,
    /// With so many known, it is time to look for idle ones.
    look_at: usize,
}

/// What a caller has.
#[derive(Debug)]
struct Usage {
    shares: u32,
    in_flight: usize,
    waiting: usize,
    /// Until when the rate is used up, if requests came evenly (the GCRA's theoretical arrival
    /// time).
    until: Instant,
}

/// Why a caller may not have more, and when it may.
pub(crate) struct Over {
    pub(crate) reason: Reason,
    /// None: when one of its requests ends.
    pub(crate) wait: Option<Duration>,
}

impl Callers {
    pub(crate) fn new() -> Self {
        Self { known: BTreeMap::new(), active: 0, look_at: FEW }
    }

    /// Gives the caller a share, if its own limits allow for one more.
    pub(crate) fn take_share(&mut self, caller: &Caller, now: Instant) -> Result<(), Over> {
        let usage = self.usage(caller.key, now);
        if let Some(limit) = caller.concurrent
            && usage.shares >= limit
        {
            return Err(Over { reason: Reason::OverConcurrent { limit }, wait: None });
        }
        if let Some(limit) = caller.per_minute {
            let after = usage.until.max(now) + MINUTE / limit.max(1);
            let wait = after.saturating_duration_since(now).saturating_sub(MINUTE);
            if !wait.is_zero() {
                return Err(Over { reason: Reason::OverRate { limit }, wait: Some(wait) });
            }
            usage.until = after;
        }
        usage.shares += 1;
        Ok(())
    }

    /// What the caller has left, if it has a rate.
    pub(crate) fn rate(&self, caller: &Caller, now: Instant) -> Option<Rate> {
        let limit = caller.per_minute?;
        let until = self.known.get(&caller.key).map_or(now, |usage| usage.until);
        let used = until.saturating_duration_since(now);
        let each = (MINUTE / limit.max(1)).as_nanos().max(1);
        let left = MINUTE.saturating_sub(used).as_nanos() / each;
        let left = u32::try_from(left).unwrap_or(limit).min(limit);
        Some(Rate { limit, left, whole_after: used })
    }

    pub(crate) fn give_share_back(&mut self, key: u64) {
        if let Some(usage) = self.known.get_mut(&key) {
            usage.shares -= 1;
        }
    }

    /// How many permits the caller has.
    pub(crate) fn in_flight(&self, key: u64) -> usize {
        self.known.get(&key).map_or(0, |usage| usage.in_flight)
    }

    /// How many have a permit or wait for one, with this caller among them.
    pub(crate) fn active_with(&self, key: u64) -> usize {
        let counted = self.known.get(&key).is_some_and(|usage| usage.is_active());
        self.active + usize::from(!counted)
    }

    pub(crate) fn admitted(&mut self, key: u64) -> usize {
        self.change(key, |usage| usage.in_flight += 1)
    }

    pub(crate) fn released(&mut self, key: u64) -> usize {
        self.change(key, |usage| usage.in_flight -= 1)
    }

    pub(crate) fn queued(&mut self, key: u64) -> usize {
        self.change(key, |usage| usage.waiting += 1)
    }

    pub(crate) fn left_queue(&mut self, key: u64) -> usize {
        self.change(key, |usage| usage.waiting -= 1)
    }

    pub(crate) fn queue_cleared(&mut self) {
        for usage in self.known.values_mut() {
            usage.waiting = 0;
        }
        self.active = self.known.values().filter(|usage| usage.is_active()).count();
    }

    /// Answers how many permits the caller has then.
    fn change(&mut self, key: u64, change: impl FnOnce(&mut Usage)) -> usize {
        // Whoever is admitted or waits holds a share, which made it known.
        let Some(usage) = self.known.get_mut(&key) else { return 0 };
        self.active -= usize::from(usage.is_active());
        change(usage);
        self.active += usize::from(usage.is_active());
        usage.in_flight
    }

    fn usage(&mut self, key: u64, now: Instant) -> &mut Usage {
        if self.known.len() >= self.look_at && !self.known.contains_key(&key) {
            self.known.retain(|_, usage| usage.shares > 0 || usage.until > now);
            self.look_at = FEW.max(2 * self.known.len());
        }
        let fresh = Usage { shares: 0, in_flight: 0, waiting: 0, until: now };
        self.known.entry(key).or_insert(fresh)
    }
}

impl Usage {
    fn is_active(&self) -> bool {
        self.in_flight + self.waiting > 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn take(callers: &mut Callers, caller: Caller, now: Instant) -> Result<(), Reason> {
        callers.take_share(&caller, now).map_err(|over| over.reason)
    }

    #[test]
    fn a_minute_has_so_many_requests_and_no_more() {
        let (mut callers, now) = (Callers::new(), Instant::now());
        let caller = Caller { per_minute: Some(2), ..Caller::unlimited(1) };
        assert_eq!(take(&mut callers, caller, now), Ok(()));
        assert_eq!(take(&mut callers, caller, now), Ok(()));
        let over = callers.take_share(&caller, now).err().unwrap();
        assert_eq!(over.reason, Reason::OverRate { limit: 2 });
        assert_eq!(over.wait, Some(Duration::from_secs(30)));
        let later = now + Duration::from_secs(30);
        assert_eq!(take(&mut callers, caller, later), Ok(()));
        assert!(take(&mut callers, caller, later).is_err());
        // A new limit counts what was used under the old one.
        let more = Caller { per_minute: Some(4), ..caller };
        assert!(take(&mut callers, more, later + Duration::from_secs(14)).is_err());
        assert!(take(&mut callers, more, later + Duration::from_secs(15)).is_ok());
    }

    #[test]
    fn what_is_left_of_a_rate_is_what_passes() {
        let (mut callers, now) = (Callers::new(), Instant::now());
        let caller = Caller { per_minute: Some(7), ..Caller::unlimited(1) };
        assert_eq!(callers.rate(&Caller::unlimited(2), now), None);
        for left in (0..=7).rev() {
            assert_eq!(callers.rate(&caller, now).unwrap().left, left);
            assert_eq!(take(&mut callers, caller, now).is_ok(), left > 0);
        }
        let rate = callers.rate(&caller, now).unwrap();
        let later = now + rate.whole_after;
        assert_eq!(callers.rate(&caller, later).unwrap().left, 7);
    }

    #[test]
    fn a_refused_request_uses_nothing_up() {
        let (mut callers, now) = (Callers::new(), Instant::now());
        let caller = Caller { key: 1, concurrent: Some(1), per_minute: Some(2) };
        assert_eq!(take(&mut callers, caller, now), Ok(()));
        for _ in 0..10 {
            let refused = take(&mut callers, caller, now);
            assert_eq!(refused, Err(Reason::OverConcurrent { limit: 1 }));
        }
        callers.give_share_back(1);
        assert_eq!(take(&mut callers, caller, now), Ok(()));
    }

    #[test]
    fn callers_that_are_gone_are_forgotten() {
        let (mut callers, now) = (Callers::new(), Instant::now());
        for key in 0..10_000 {
            assert_eq!(take(&mut callers, Caller::unlimited(key), now), Ok(()));
            callers.give_share_back(key);
        }
        assert!(callers.known.len() <= FEW, "{}", callers.known.len());
    }
}
