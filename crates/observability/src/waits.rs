//! The time that a request spends in queues, before the upstream is asked and between its tries.

use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// What a request may have to wait for, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// One of the few that its model may have in flight.
    Model,
    /// One of the gateway's slots.
    Slot,
    /// A token of the upstream's, which takes only so many at once, or rests.
    Token,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Model, Self::Slot, Self::Token];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Slot => "slot",
            Self::Token => "token",
        }
    }
}

impl EncodeLabelValue for Queue {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

/// How long a request has waited in each queue. It is in one at a time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    over: [Option<Duration>; 3],
    /// The one that it is in, and since when.
    now: Option<(Queue, Instant)>,
}

impl Waits {
    pub(crate) fn begin(&mut self, queue: Queue, now: Instant) {
        self.end(now);
        self.now = Some((queue, now));
    }

    pub(crate) fn end(&mut self, now: Instant) {
        if let Some((queue, _)) = self.now {
            self.over[queue as usize] = self.of(queue, now);
            self.now = None;
        }
    }

    /// It was turned away, and did not wait.
    pub(crate) fn forget(&mut self) {
        self.now = None;
    }

    /// In this queue until now, the wait that goes on included; None if it never was in it.
    pub(crate) fn of(&self, queue: Queue, now: Instant) -> Option<Duration> {
        let over = self.over[queue as usize];
        match self.now {
            Some((current, since)) if current == queue => {
                Some(over.unwrap_or_default() + now.saturating_duration_since(since))
            }
            Some(_) | None => over,
        }
    }

    /// In all queues until now; None if it was in none.
    pub(crate) fn sum(&self, now: Instant) -> Option<Duration> {
        Queue::ALL.into_iter().filter_map(|queue| self.of(queue, now)).reduce(|a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_add_up_and_the_one_that_goes_on_counts() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs());
        let mut waits = Waits::default();
        assert_eq!(waits.sum(at(0)), None);
        waits.begin(Queue::Slot, at(0));
        waits.end(at(2));
        waits.begin(Queue::Token, at(3));
        waits.end(at(4));
        waits.begin(Queue::Token, at(10));
        let of = |waits: &Waits| Queue::ALL.map(|queue| seconds(waits.of(queue, at(15))));
        assert_eq!(of(&waits), [None, Some(2), Some(6)]);
        assert_eq!(seconds(waits.sum(at(15))), Some(8));
        waits.forget();
        assert_eq!(of(&waits), [None, Some(2), Some(1)]);
    }
}
