//! What is done about memory that runs short, step by step.

use z2api_observability::MemoryReading;

/// How short memory is. Each step does what the ones before it do, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    /// There is enough.
    Calm,
    /// Idle connections on either side are closed, and no client's is kept after its answer.
    Tight,
    /// New chat requests are refused.
    Refusing,
    /// New connections are let in only to ask how the gateway is.
    Closed,
    /// The largest requests are ended with an error.
    Ending,
}

/// In order, with the part of the limit at which each begins and below which it ends again: a
/// little lower, so that it does not come and go. Ending ends where new connections begin to be
/// refused: it must have made some room.
const STEPS: [(Rung, f64, f64); 4] = [
    (Rung::Tight, 0.75, 0.72),
    (Rung::Refusing, 0.85, 0.82),
    (Rung::Closed, 0.92, 0.89),
    (Rung::Ending, 0.97, 0.92),
];

impl Rung {
    pub(crate) const ALL: [Self; 5] =
        [Self::Calm, Self::Tight, Self::Refusing, Self::Closed, Self::Ending];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Tight => "tight",
            Self::Refusing => "refusing",
            Self::Closed => "closed",
            Self::Ending => "ending",
        }
    }

    /// Where to stand after this reading.
    pub(crate) fn after(self, pressure: f64) -> Self {
        let holds = |(rung, begins, ends): &(Self, f64, f64)| {
            pressure >= if *rung <= self { *ends } else { *begins }
        };
        STEPS.iter().rev().find(|step| holds(step)).map_or(Self::Calm, |(rung, ..)| *rung)
    }
}

/// Which part of the limit is used: of the gateway's own, or of the control group's, in which the
/// kernel's buffers for the sockets count, too.
pub(crate) fn pressure(reading: MemoryReading, limit: u64) -> f64 {
    let part = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
    let of_group = reading.group.map_or(0.0, |group| part(group.used, group.limit));
    part(reading.resident, limit).max(of_group)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use z2api_observability::GroupMemory;

    use super::*;

    fn check(readings: &[(f64, Rung)]) {
        let mut rung = Rung::Calm;
        for (pressure, expected) in readings {
            rung = rung.after(*pressure);
            assert_eq!(rung, *expected, "at {pressure}");
        }
    }

    #[test]
    fn each_step_begins_at_its_part_and_ends_a_little_lower() {
        check(&[
            (0.74, Rung::Calm),
            (0.75, Rung::Tight),
            (0.73, Rung::Tight),
            (0.85, Rung::Refusing),
            (0.83, Rung::Refusing),
            (0.81, Rung::Tight),
            (0.71, Rung::Calm),
        ]);
    }

    #[test]
    fn several_steps_may_be_taken_at_once() {
        check(&[(0.98, Rung::Ending), (0.93, Rung::Ending), (0.91, Rung::Closed)]);
        check(&[(1.5, Rung::Ending), (0.10, Rung::Calm)]);
    }

    #[test]
    fn the_control_group_counts_if_it_is_nearer_its_limit() {
        let group = Some(GroupMemory { used: 90, limit: 100 });
        assert_eq!(pressure(MemoryReading { resident: 50, group }, 100), 0.9);
        assert_eq!(pressure(MemoryReading { resident: 50, group: None }, 100), 0.5);
    }

    proptest! {
        #[test]
        fn more_pressure_never_means_a_lower_step(a in 0.0..1.2, b in 0.0..1.2) {
            for rung in [Rung::Calm, Rung::Tight, Rung::Refusing, Rung::Closed, Rung::Ending] {
                let (low, high) = (f64::min(a, b), f64::max(a, b));
                prop_assert!(rung.after(low) <= rung.after(high));
                prop_assert_eq!(rung.after(a).after(a), rung.after(a));
            }
        }
    }
}
