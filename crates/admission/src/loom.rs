//! The core under loom: all orders in which threads can come to the lock.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p z2api-admission --release --lib loom`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ::loom::future::block_on;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use ::loom::thread;

use super::*;

/// Every order with at most three preemptions, which is where such faults are found.
fn check(body: impl Fn() + Sync + Send + 'static) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

fn admission(max_in_flight: usize) -> Admission {
    Admission::new(Settings { max_in_flight, ..Settings::default() })
}

fn enter(admission: &Admission, key: u64) -> Result<Permit, Place> {
    let share = admission.share(&Caller::unlimited(key)).expect("room in the queue");
    share.enter().expect("room in the queue").map_err(|(place, _)| place)
}

fn wait(admission: &Admission, key: u64) -> Result<Permit, Rejected> {
    match enter(admission, key) {
        Ok(permit) => Ok(permit),
        Err(place) => block_on(place),
    }
}

fn poll_once(place: &mut Place) -> Poll<Result<Permit, Rejected>> {
    Pin::new(place).poll(&mut Context::from_waker(Waker::noop()))
}

/// Nothing is held any more, and what can be held can be held again.
fn all_is_back(admission: &Admission, limit: usize) {
    assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
    let permits: Vec<_> = (0..limit).map(|_| enter(admission, 9).expect("a permit")).collect();
    assert!(enter(admission, 9).is_err(), "one more than there are");
    drop(permits);
}

#[test]
fn never_more_in_flight_than_the_limit() {
    check(|| {
        let admission = admission(1);
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|key| {
                let (admission, inside) = (admission.clone(), inside.clone());
                thread::spawn(move || {
                    let permit = wait(&admission, key).expect("a permit");
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    inside.fetch_sub(1, SeqCst);
                    drop(permit);
                })
            })
            .collect();
        let permit = wait(&admission, 1).expect("a permit");
        assert_eq!(inside.fetch_add(1, SeqCst), 0);
        inside.fetch_sub(1, SeqCst);
        drop(permit);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        all_is_back(&admission, 1);
    });
}

#[test]
fn a_waiter_that_goes_at_any_moment_loses_no_permit() {
    check(|| {
        let admission = admission(1);
        let held = enter(&admission, 0).expect("a permit");
        let goes = {
            let admission = admission.clone();
            thread::spawn(move || {
                if let Err(mut place) = enter(&admission, 1) {
                    let _ = poll_once(&mut place);
                }
            })
        };
        let stays = {
            let admission = admission.clone();
            thread::spawn(move || drop(wait(&admission, 2).expect("a permit")))
        };
        drop(held);
        goes.join().unwrap();
        stays.join().unwrap();
        all_is_back(&admission, 1);
    });
}

#[test]
fn a_permit_that_comes_when_time_is_over_is_taken_or_given_on() {
    check(|| {
        let admission = admission(1);
        let held = enter(&admission, 0).expect("a permit");
        let late = {
            let admission = admission.clone();
            thread::spawn(move || match enter(&admission, 1) {
                Ok(permit) => drop(permit),
                Err(mut place) => match poll_once(&mut place) {
                    Poll::Ready(permit) => drop(permit.expect("a permit")),
                    Poll::Pending => match place.give_up() {
                        Ok(permit) => drop(permit),
                        Err(refused) => assert_eq!(refused.reason, Reason::QueueTimeout),
                    },
                },
            })
        };
        drop(held);
        late.join().unwrap();
        all_is_back(&admission, 1);
    });
}

#[test]
fn a_drain_answers_everybody() {
    check(|| {
        let admission = admission(1);
        let held = enter(&admission, 0).expect("a permit");
        let waits = {
            let admission = admission.clone();
            let share = admission.share(&Caller::unlimited(1)).expect("room");
            thread::spawn(move || match share.enter() {
                Ok(Ok(permit)) => drop(permit),
                Ok(Err((place, _))) => drop(block_on(place)),
                Err(refused) => assert_eq!(refused.reason, Reason::Draining),
            })
        };
        let drains = {
            let admission = admission.clone();
            thread::spawn(move || admission.drain())
        };
        drop(held);
        waits.join().unwrap();
        drains.join().unwrap();
        block_on(admission.idle());
        assert_eq!((admission.in_flight(), admission.queued()), (0, 0));
    });
}

#[test]
fn a_limit_that_moves_under_waiters_leaves_none_behind() {
    check(|| {
        let admission = admission(1);
        let held = enter(&admission, 0).expect("a permit");
        let waits = {
            let admission = admission.clone();
            thread::spawn(move || drop(wait(&admission, 1).expect("a permit")))
        };
        admission.set(Settings { max_in_flight: 2, ..Settings::default() });
        admission.set(Settings { max_in_flight: 1, ..Settings::default() });
        drop(held);
        waits.join().unwrap();
        all_is_back(&admission, 1);
    });
}
