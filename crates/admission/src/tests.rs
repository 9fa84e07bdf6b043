use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn admission(max_in_flight: usize, queue: usize) -> Admission {
    Admission::new(Settings { max_in_flight, queue, queue_timeout: Duration::from_secs(10) })
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let admission = admission(1, 1);
    let _permit = admission.admit().await.unwrap();
    let mut waiting = pin!(admission.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(admission.check().unwrap_err().reason, Reason::QueueFull);
    assert_eq!(admission.admit().await.unwrap_err().reason, Reason::QueueFull);
    assert_eq!((admission.in_flight(), admission.queued()), (1, 1));
}

#[tokio::test]
async fn whoever_waits_longest_is_next() {
    let admission = admission(1, 2);
    let permit = admission.admit().await.unwrap();
    let (mut first, mut second) = (Box::pin(admission.admit()), Box::pin(admission.admit()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(permit);
    assert!(poll(second.as_mut()).is_pending());
    assert!(matches!(poll(first.as_mut()), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_cancelled_waiter_gives_its_slot_on() {
    let admission = admission(1, 2);
    let permit = admission.admit().await.unwrap();
    let (mut first, mut second) = (Box::pin(admission.admit()), Box::pin(admission.admit()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(permit);
    // The slot has been handed to the first, who goes without taking it.
    drop(first);
    assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_refused_after_its_time() {
    let admission = admission(1, 1);
    let _permit = admission.admit().await.unwrap();
    let mut waiting = Box::pin(admission.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    advance(Duration::from_millis(9_999)).await;
    assert!(poll(waiting.as_mut()).is_pending());
    advance(Duration::from_millis(2)).await;
    let refused = waiting.await.unwrap_err();
    assert_eq!(refused.reason, Reason::QueueTimeout);
    assert_eq!(admission.queued(), 0);
}

#[tokio::test]
async fn a_drain_refuses_newcomers_and_waiters_and_ends_when_all_permits_are_back() {
    let admission = admission(1, 1);
    let permit = admission.admit().await.unwrap();
    let mut waiting = Box::pin(admission.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    admission.drain();
    assert_eq!(waiting.await.unwrap_err().reason, Reason::Draining);
    assert_eq!(admission.admit().await.unwrap_err().reason, Reason::Draining);
    let mut idle = pin!(admission.idle());
    assert!(poll(idle.as_mut()).is_pending());
    drop(permit);
    assert!(poll(idle.as_mut()).is_ready());
}

#[tokio::test]
async fn a_higher_limit_admits_who_waits_and_a_lower_one_takes_no_permit_back() {
    let admission = admission(1, 2);
    let first = admission.admit().await.unwrap();
    let mut waiting = Box::pin(admission.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    admission.set_limit(2);
    let Poll::Ready(Ok(second)) = poll(waiting.as_mut()) else { panic!("admitted") };
    admission.set_limit(1);
    assert_eq!(admission.in_flight(), 2);
    drop(first);
    let mut third = Box::pin(admission.admit());
    assert!(poll(third.as_mut()).is_pending());
    drop(second);
    assert!(matches!(poll(third.as_mut()), Poll::Ready(Ok(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_no_permit_is_lost_or_doubled() {
    let admission = admission(3, 1000);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let admission = admission.clone();
            tokio::spawn(async move {
                for round in 0..200 {
                    let admitted = admission.admit();
                    if (task + round) % 3 == 0 {
                        // Given up at whatever point it has come to.
                        let _ = tokio::time::timeout(Duration::ZERO, admitted).await;
                    } else {
                        let permit = admitted.await.unwrap();
                        assert!(admission.in_flight() <= 3);
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
}

#[derive(Debug, Clone)]
enum Step {
    Ask,
    Give(usize),
    Leave(usize),
    Limit(usize),
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Permit, Rejected>> + 'a>>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Ask),
        3 => (0usize..8).prop_map(Step::Give),
        2 => (0usize..8).prop_map(Step::Leave),
        1 => (0usize..5).prop_map(Step::Limit),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn whatever_happens_the_count_is_right(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let admission = admission(2, 3);
        let mut permits: Vec<Permit> = Vec::new();
        let mut waiting: Vec<Asked<'_>> = Vec::new();
        for step in steps {
            match step {
                Step::Ask => {
                    let mut asked: Asked<'_> = Box::pin(admission.admit());
                    match poll(asked.as_mut()) {
                        Poll::Ready(Ok(permit)) => {
                            prop_assert!(admission.in_flight() <= admission.limit());
                            permits.push(permit);
                        }
                        Poll::Ready(Err(refused)) => {
                            prop_assert_eq!(refused.reason, Reason::QueueFull);
                            prop_assert!(admission.queued() == 3);
                        }
                        Poll::Pending => waiting.push(asked),
                    }
                }
                Step::Give(at) if at < permits.len() => drop(permits.swap_remove(at)),
                Step::Leave(at) if at < waiting.len() => drop(waiting.remove(at)),
                Step::Limit(limit) => admission.set_limit(limit),
                Step::Give(_) | Step::Leave(_) => {}
            }
            // Those who were handed a permit are the ones who have waited longest.
            let mut admitted = true;
            let mut still = Vec::new();
            for mut asked in waiting {
                match poll(asked.as_mut()) {
                    Poll::Ready(outcome) => {
                        prop_assert!(admitted, "somebody was overtaken");
                        permits.push(outcome.unwrap());
                    }
                    Poll::Pending => {
                        admitted = false;
                        still.push(asked);
                    }
                }
            }
            waiting = still;
            prop_assert_eq!(admission.in_flight(), permits.len());
            prop_assert_eq!(admission.queued(), waiting.len());
            prop_assert!(waiting.is_empty() || permits.len() >= admission.limit());
        }
        drop(waiting);
        drop(permits);
        prop_assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
        admission.set_limit(1);
        prop_assert!(matches!(poll(pin!(admission.admit())), Poll::Ready(Ok(_))));
    }
}
