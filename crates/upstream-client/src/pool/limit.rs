//! How many requests one token may have in flight to one model: learned from refusals.
//!
//! Additive increase, multiplicative decrease. After a decrease a single request probes the new
//! limit before more are let through, so that many who wait are not refused a second time.

/// How many answers, for each request allowed, come before one more is allowed.
const ANSWERS_PER_STEP: u32 = 10;

/// One token's limit for one model. Unlimited until the first refusal.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    allowed: Option<u32>,
    in_flight: u32,
    /// How often the limit has gone down. A refusal of a request that was sent before the last
    /// time says nothing new.
    epoch: u64,
    /// Whether a request has begun to be answered since then.
    confirmed: bool,
    /// Whether a request is out that will tell.
    probing: bool,
    /// Answers since the limit last changed, counted while it was all used.
    answers: u32,
}

/// A request in flight: when it was sent, as far as the limit cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    epoch: u64,
    probe: bool,
    /// Whether no other was in flight then.
    alone: bool,
}

impl Limit {
    pub(crate) fn has_room(&self) -> bool {
        match self.allowed {
            None => true,
            Some(allowed) => self.in_flight < allowed && (self.confirmed || !self.probing),
        }
    }

    /// Takes a place. Only to be called if there is room.
    pub(crate) fn send(&mut self) -> Sent {
        let probe = self.allowed.is_some() && !self.confirmed;
        self.probing |= probe;
        self.in_flight += 1;
        Sent { epoch: self.epoch, probe, alone: self.in_flight == 1 }
    }

    /// An answer has begun.
    pub(crate) fn answered(&mut self, sent: Sent) {
        let Some(allowed) = self.allowed.filter(|_| sent.epoch == self.epoch) else { return };
        self.confirmed = true;
        if self.in_flight >= allowed {
            self.answers += 1;
        }
        if self.answers >= ANSWERS_PER_STEP.saturating_mul(allowed) {
            self.allowed = Some(allowed.saturating_add(1));
            self.answers = 0;
        }
    }

    /// Too many at once. Gives whether it was the only one, so that fewer at once are no help.
    pub(crate) fn refused(&mut self, sent: Sent) -> bool {
        let alone = sent.alone && self.in_flight <= 1;
        if sent.epoch == self.epoch {
            let now = self.allowed.unwrap_or(u32::MAX).min(self.in_flight);
            self.allowed = Some((now / 2).max(1));
            self.epoch += 1;
            self.confirmed = false;
            self.probing = false;
            self.answers = 0;
        }
        alone
    }

    /// Gives the place back, however the request ended.
    pub(crate) fn ended(&mut self, sent: Sent) {
        self.in_flight -= 1;
        if sent.probe && sent.epoch == self.epoch {
            self.probing = false;
        }
    }

    pub(crate) fn allowed(&self) -> Option<u32> {
        self.allowed
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends all that the limit lets through, to an upstream that answers so many at once and
    /// refuses the rest; gives how many were refused.
    fn burst(
        limit: &mut Limit,
        waiting: &mut u32,
        running: &mut Vec<Sent>,
        upstream: usize,
    ) -> u32 {
        let mut out = Vec::new();
        while *waiting > 0 && limit.has_room() {
            *waiting -= 1;
            out.push(limit.send());
        }
        let mut refused = 0;
        for sent in out {
            if running.len() < upstream {
                limit.answered(sent);
                running.push(sent);
            } else {
                limit.refused(sent);
                limit.ended(sent);
                refused += 1;
            }
        }
        *waiting += refused;
        refused
    }

    /// How many refusals it takes until `callers` are all answered.
    fn refusals(callers: u32, upstream: usize) -> u32 {
        let (mut limit, mut waiting, mut running) = (Limit::default(), callers, Vec::new());
        let mut refused = 0;
        while waiting > 0 {
            refused += burst(&mut limit, &mut waiting, &mut running, upstream);
            if !limit.has_room() || waiting == 0 {
                running.drain(..).for_each(|sent| limit.ended(sent));
            }
        }
        refused
    }

    #[test]
    fn without_a_refusal_there_is_no_limit() {
        let mut limit = Limit::default();
        (0..1000).for_each(|_| assert!(limit.has_room() && limit.send().epoch == 0));
        assert_eq!(limit.allowed(), None);
    }

    #[test]
    fn one_wave_of_refusals_counts_once() {
        let mut limit = Limit::default();
        let sent: Vec<Sent> = (0..20).map(|_| limit.send()).collect();
        for sent in sent {
            assert!(!limit.refused(sent));
            limit.ended(sent);
        }
        assert_eq!(limit.allowed(), Some(10));
        let sent = limit.send();
        assert!(limit.refused(sent));
    }

    #[test]
    fn after_a_decrease_one_probes_for_all() {
        let mut limit = Limit::default();
        let (first, second) = (limit.send(), limit.send());
        assert!((0..6).all(|_| limit.send() == second));
        limit.refused(first);
        limit.ended(first);
        limit.ended(second);
        assert_eq!(limit.allowed(), Some(4));
        (0..6).for_each(|_| limit.ended(second));
        let probe = limit.send();
        assert!(!limit.has_room());
        limit.answered(probe);
        assert!(limit.has_room());
    }

    #[test]
    fn a_probe_that_ends_without_a_word_makes_room_for_another() {
        let mut limit = Limit::default();
        let sent = limit.send();
        assert!(limit.refused(sent));
        limit.ended(sent);
        let probe = limit.send();
        assert!(!limit.has_room());
        limit.ended(probe);
        assert!(limit.has_room());
    }

    #[test]
    fn the_limit_grows_by_one_after_ten_rounds_that_used_it_up() {
        let mut limit = Limit::default();
        let sent = limit.send();
        limit.refused(sent);
        limit.ended(sent);
        for _ in 0..ANSWERS_PER_STEP {
            assert_eq!(limit.allowed(), Some(1));
            let sent = limit.send();
            limit.answered(sent);
            limit.ended(sent);
        }
        assert_eq!(limit.allowed(), Some(2));
    }

    proptest! {
        /// The refusals beyond those of the first wave are few: nobody is refused by a storm.
        #[test]
        fn a_wave_learns_the_limit_within_few_refusals(callers in 1_u32..500, upstream in 1_usize..50) {
            let first_wave = callers.saturating_sub(upstream as u32);
            // A probe for each halving, and one for each try at a higher limit.
            let tries = callers / ANSWERS_PER_STEP + 2 * (callers.ilog2() + 2);
            prop_assert!(refusals(callers, upstream) <= first_wave + tries);
        }

        #[test]
        fn the_limit_is_never_nothing_and_places_are_never_lost(steps in prop::collection::vec(0_u8..4, 0..300)) {
            let mut limit = Limit::default();
            let mut out = Vec::new();
            for step in steps {
                match step {
                    0 | 1 if limit.has_room() => out.push(limit.send()),
                    2 if !out.is_empty() => limit.ended(out.remove(0)),
                    3 if !out.is_empty() => {
                        let sent = out.remove(0);
                        limit.refused(sent);
                        limit.ended(sent);
                    }
                    _ => out.iter().for_each(|sent| limit.answered(*sent)),
                }
                prop_assert_eq!(limit.in_flight() as usize, out.len());
                prop_assert!(limit.allowed() != Some(0));
            }
            out.drain(..).for_each(|sent| limit.ended(sent));
            prop_assert!(limit.has_room());
        }
    }
}
