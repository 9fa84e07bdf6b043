mod fairness;
mod properties;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::time::advance;

use super::*;

const ANN: u64 = 1;
const BOB: u64 = 2;

type Asked = Pin<Box<dyn Future<Output = Result<Permit, Rejected>>>>;

fn admission(max_in_flight: usize, queue: usize) -> Admission {
    Admission::new(Settings { max_in_flight, queue, ..Settings::default() })
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Asks for a permit, which must come at once.
fn take(admission: &Admission, key: u64) -> Permit {
    let mut asked = Box::pin(admission.share(&Caller::unlimited(key)).unwrap().admit());
    let Poll::Ready(Ok(permit)) = poll(asked.as_mut()) else { panic!("a permit") };
    permit
}

/// Asks for a permit, which must not come yet.
fn wait(admission: &Admission, key: u64) -> Asked {
    let mut asked: Asked = Box::pin(admission.share(&Caller::unlimited(key)).unwrap().admit());
    assert!(poll(asked.as_mut()).is_pending());
    asked
}

fn refusal(admission: &Admission, key: u64) -> Reason {
    admission.share(&Caller::unlimited(key)).unwrap_err().reason
}

/// What has become of somebody who waited.
fn outcome(asked: &mut Asked) -> Result<Permit, Rejected> {
    let Poll::Ready(outcome) = poll(asked.as_mut()) else { panic!("an answer") };
    outcome
}

fn still_waits(asked: &mut Asked) -> bool {
    poll(asked.as_mut()).is_pending()
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let admission = admission(1, 1);
    let early = admission.share(&Caller::unlimited(ANN)).unwrap();
    let _permit = take(&admission, ANN);
    let _waiting = wait(&admission, ANN);
    assert_eq!(refusal(&admission, ANN), Reason::QueueFull);
    // It had its share when there was room, but took its time.
    assert_eq!(early.admit().await.unwrap_err().reason, Reason::QueueFull);
    assert_eq!((admission.in_flight(), admission.queued()), (1, 1));
}

#[tokio::test]
async fn whoever_waits_longest_is_next() {
    let admission = admission(1, 2);
    let permit = take(&admission, ANN);
    let (mut first, mut second) = (wait(&admission, ANN), wait(&admission, ANN));
    drop(permit);
    assert!(still_waits(&mut second));
    assert!(outcome(&mut first).is_ok());
}

#[tokio::test]
async fn a_cancelled_waiter_gives_its_slot_on() {
    let admission = admission(1, 2);
    let permit = take(&admission, ANN);
    let (first, mut second) = (wait(&admission, ANN), wait(&admission, ANN));
    drop(permit);
    // The slot has been handed to the first, who goes without taking it.
    drop(first);
    assert!(outcome(&mut second).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_refused_after_its_time() {
    let admission = admission(1, 1);
    let _permit = take(&admission, ANN);
    let mut waiting = wait(&admission, ANN);
    advance(Duration::from_millis(9_999)).await;
    assert!(still_waits(&mut waiting));
    advance(Duration::from_millis(2)).await;
    assert_eq!(waiting.await.unwrap_err().reason, Reason::QueueTimeout);
    assert_eq!(admission.queued(), 0);
}

#[tokio::test]
async fn a_drain_refuses_newcomers_and_waiters_and_ends_when_all_permits_are_back() {
    let admission = admission(1, 1);
    let permit = take(&admission, ANN);
    let waiting = wait(&admission, ANN);
    admission.drain();
    assert_eq!(waiting.await.unwrap_err().reason, Reason::Draining);
    assert_eq!(refusal(&admission, ANN), Reason::Draining);
    let mut idle = pin!(admission.idle());
    assert!(poll(idle.as_mut()).is_pending());
    drop(permit);
    assert!(poll(idle.as_mut()).is_ready());
}

#[tokio::test]
async fn a_higher_limit_admits_who_waits_and_a_lower_one_takes_no_permit_back() {
    let admission = admission(1, 2);
    let limit = |max_in_flight| {
        admission.set(Settings { max_in_flight, queue: 2, ..Settings::default() });
    };
    let first = take(&admission, ANN);
    let mut waiting = wait(&admission, ANN);
    limit(2);
    let second = outcome(&mut waiting).unwrap();
    limit(1);
    assert_eq!(admission.in_flight(), 2);
    drop(first);
    let mut third = wait(&admission, ANN);
    drop(second);
    assert!(outcome(&mut third).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_in_time_is_refused_at_once() {
    let admission = admission(2, 500);
    for _ in 0..8 {
        let held = [take(&admission, ANN), take(&admission, ANN)];
        advance(Duration::from_secs(4)).await;
        drop(held);
    }
    // Two permits of four seconds each: one comes free every two seconds.
    let _held = [take(&admission, ANN), take(&admission, ANN)];
    let _in_time: Vec<Asked> = (0..5).map(|_| wait(&admission, ANN)).collect();
    let refused = admission.share(&Caller::unlimited(ANN)).unwrap_err();
    assert_eq!((refused.reason, refused.reason.doing()), (Reason::WaitTooLong, Doing::Server));
    let seconds = refused.retry_after.as_secs();
    assert!((9..=15).contains(&seconds), "12 s, give or take a fifth: {seconds}");
    // Bob comes before most of Ann's.
    let _bob = wait(&admission, BOB);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_too_many_gets_fewer() {
    let settings = Settings { max_in_flight: 20, adaptive: true, ..Settings::default() };
    let admission = Admission::new(settings);
    admission.refused_upstream();
    assert_eq!((admission.limit(), admission.ceiling()), (18, 20));
    let _held: Vec<Permit> = (0..18).map(|_| take(&admission, ANN)).collect();
    let mut waiting = wait(&admission, ANN);
    // First events come as ever: the limit grows again, and whoever waits is let in.
    for _ in 0..20 {
        advance(Duration::from_secs(1)).await;
        (0..20).for_each(|_| admission.first_event(0, Duration::from_millis(300)));
    }
    assert_eq!(admission.limit(), 20);
    assert!(outcome(&mut waiting).is_ok());
}

#[tokio::test]
async fn a_caller_may_have_so_many_going_waiting_or_not() {
    let admission = admission(1, 10);
    let ann = Caller { concurrent: Some(2), ..Caller::unlimited(ANN) };
    let permit = admission.share(&ann).unwrap().admit().await.unwrap();
    let mut second: Asked = Box::pin(admission.share(&ann).unwrap().admit());
    assert!(still_waits(&mut second));
    let refused = admission.share(&ann).unwrap_err();
    assert_eq!(refused.reason, Reason::OverConcurrent { limit: 2 });
    assert_eq!(refused.reason.doing(), Doing::Caller);
    drop(second);
    let share = admission.share(&ann).unwrap();
    assert!(admission.share(&ann).is_err());
    drop((share, permit));
    assert!(admission.share(&ann).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_no_permit_is_lost_or_doubled() {
    let admission = admission(3, 1000);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let admission = admission.clone();
            tokio::spawn(async move {
                for round in 0..200 {
                    let admitted = admission.share(&Caller::unlimited(task % 7)).unwrap().admit();
                    if (task + round) % 3 == 0 {
                        // Given up at whatever point it has come to.
                        let _ = tokio::time::timeout(Duration::ZERO, admitted).await;
                    } else if let Ok(permit) = admitted.await {
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
