//! Whatever is asked, cancelled, returned and changed in whatever order: the counts are right and
//! everybody is answered.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const QUEUE: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Share(u64),
    DropShare(usize),
    Enter(usize),
    Ask(u64),
    Give(usize),
    Leave(usize),
    Limit(usize),
    FirstEvent(u64),
    RefusedUpstream,
    Wait(u64),
    Settle,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0u64..4).prop_map(Step::Ask),
        3 => (0u64..4).prop_map(Step::Share),
        1 => (0usize..4).prop_map(Step::DropShare),
        2 => (0usize..4).prop_map(Step::Enter),
        8 => (0usize..8).prop_map(Step::Give),
        5 => (0usize..8).prop_map(Step::Leave),
        2 => (0usize..5).prop_map(Step::Limit),
        1 => (1u64..1000).prop_map(Step::FirstEvent),
        1 => Just(Step::RefusedUpstream),
        3 => (1u64..6000).prop_map(Step::Wait),
        8 => Just(Step::Settle),
    ];
    let steps = prop::collection::vec(step, 0..120);
    (steps, prop::option::weighted(0.2, Just(Step::Drain))).prop_map(|(mut steps, drain)| {
        let middle = steps.len() / 2;
        drain.into_iter().for_each(|drain| steps.insert(middle, drain));
        steps
    })
}

/// Keys 2 and 3 have limits of their own.
fn caller(key: u64) -> Caller {
    Caller { key, concurrent: (key == 3).then_some(2), per_minute: (key == 2).then_some(30) }
}

struct Run {
    admission: Admission,
    shares: Vec<(u64, Share)>,
    waiting: Vec<(u64, Instant, Asked)>,
    permits: Vec<(u64, Permit)>,
    drained: bool,
}

impl Run {
    fn enter(&mut self, key: u64, share: Share) -> Result<(), TestCaseError> {
        let mut asked: Asked = Box::pin(share.admit());
        let before = self.admission.in_flight();
        match poll(asked.as_mut()) {
            Poll::Ready(Ok(permit)) => {
                prop_assert!(before < self.admission.limit(), "above the limit");
                self.permits.push((key, permit));
            }
            Poll::Ready(Err(refused)) => self.refused(refused)?,
            Poll::Pending => self.waiting.push((key, Instant::now(), asked)),
        }
        Ok(())
    }

    fn refused(&self, refused: Rejected) -> Result<(), TestCaseError> {
        let wait = refused.retry_after.as_secs_f64();
        prop_assert!(wait > 0.0 && wait <= 60.0, "{wait}");
        match refused.reason {
            Reason::QueueFull | Reason::OverFairShare => {
                prop_assert_eq!(self.admission.queued(), QUEUE);
            }
            Reason::Draining => prop_assert!(self.drained),
            Reason::OverConcurrent { limit } => prop_assert_eq!(limit, 2),
            Reason::OverRate { limit } => prop_assert_eq!(limit, 30),
            Reason::WaitTooLong => prop_assert!(self.admission.in_flight() > 0),
            Reason::QueueTimeout => {}
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Ask(key) | Step::Share(key) => match self.admission.share(&caller(key)) {
                Err(refused) => self.refused(refused)?,
                Ok(share) if matches!(step, Step::Share(_)) => self.shares.push((key, share)),
                Ok(share) => self.enter(key, share)?,
            },
            Step::DropShare(at) if at < self.shares.len() => drop(self.shares.remove(at)),
            Step::Enter(at) if at < self.shares.len() => {
                let (key, share) = self.shares.remove(at);
                self.enter(key, share)?;
            }
            Step::Give(at) if at < self.permits.len() => drop(self.permits.swap_remove(at)),
            Step::Leave(at) if at < self.waiting.len() => drop(self.waiting.remove(at)),
            Step::DropShare(_) | Step::Enter(_) | Step::Give(_) | Step::Leave(_) => {}
            Step::Limit(limit) => self.admission.set(settings(limit)),
            Step::FirstEvent(millis) => {
                self.admission.first_event(millis % 3, Duration::from_millis(millis));
            }
            Step::RefusedUpstream => self.admission.refused_upstream(),
            Step::Wait(millis) => advance(Duration::from_millis(millis)).await,
            Step::Settle => self.settle()?,
            Step::Drain => {
                self.admission.drain();
                self.drained = true;
            }
        }
        Ok(())
    }

    /// Takes the answers, which others have meanwhile left without taking, and holds the counts against what is in hand.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let longest = settings(0).queue_timeout;
        let mut still = Vec::new();
        for (key, since, mut asked) in std::mem::take(&mut self.waiting) {
            match poll(asked.as_mut()) {
                Poll::Ready(Ok(permit)) => self.permits.push((key, permit)),
                Poll::Ready(Err(refused)) => {
                    let wait = refused.retry_after.as_secs_f64();
                    prop_assert!((1.0..=60.0).contains(&wait), "{wait}");
                }
                Poll::Pending => {
                    prop_assert!(since.elapsed() <= longest, "forgotten");
                    prop_assert!(!self.drained, "left behind by the drain");
                    still.push((key, since, asked));
                }
            }
        }
        self.waiting = still;
        let admission = &self.admission;
        prop_assert_eq!(admission.in_flight(), self.permits.len());
        prop_assert_eq!(admission.queued(), self.waiting.len());
        prop_assert!(self.waiting.len() <= QUEUE);
        prop_assert!(admission.limit() <= admission.ceiling());
        let nobody_waits_for_nothing =
            self.waiting.is_empty() || self.permits.len() >= admission.limit();
        prop_assert!(nobody_waits_for_nothing);
        let mut of_three = self.shares.iter().filter(|(key, _)| *key == 3).count();
        of_three += self.waiting.iter().filter(|(key, ..)| *key == 3).count();
        of_three += self.permits.iter().filter(|(key, _)| *key == 3).count();
        prop_assert!(of_three <= 2, "a caller's own limit");
        Ok(())
    }

    /// Lets go of everything; all there was can be had again.
    fn end(self) -> Result<(), TestCaseError> {
        let Self { admission, shares, waiting, permits, drained } = self;
        drop((shares, waiting, permits));
        prop_assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
        prop_assert!(poll(pin!(admission.idle())).is_ready());
        if drained {
            return Ok(());
        }
        admission.set(settings(4));
        let keys = HashMap::from([(3, 2), (0, 2)]);
        let mut held = Vec::new();
        for (key, times) in keys {
            for _ in 0..times {
                let share = admission.share(&caller(key));
                let share = share.map_err(|refused| TestCaseError::fail(refused.to_string()))?;
                let mut asked: Asked = Box::pin(share.admit());
                let Poll::Ready(Ok(permit)) = poll(asked.as_mut()) else {
                    return Err(TestCaseError::fail("a permit is missing"));
                };
                held.push(permit);
            }
        }
        prop_assert_eq!(admission.in_flight(), 4);
        Ok(())
    }
}

fn settings(max_in_flight: usize) -> Settings {
    Settings {
        max_in_flight,
        queue: QUEUE,
        queue_timeout: Duration::from_secs(5),
        adaptive: max_in_flight.is_multiple_of(2) && max_in_flight != 4,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_the_counts_are_right_and_everybody_is_answered(
        steps in steps(),
        settle in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut run = Run {
                admission: Admission::new(settings(2)),
                shares: Vec::new(),
                waiting: Vec::new(),
                permits: Vec::new(),
                drained: false,
            };
            for step in steps {
                run.step(step).await?;
            }
            if settle {
                run.settle()?;
            }
            run.end()
        })?;
    }
}
