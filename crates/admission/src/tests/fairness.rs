//! Who is next, and at whose cost.

use super::*;

#[tokio::test]
async fn keys_take_turns_however_many_of_one_wait() {
    let admission = admission(1, 100);
    let mut held = Some(take(&admission, ANN));
    let mut anns: Vec<Asked> = (0..50).map(|_| wait(&admission, ANN)).collect();
    let mut bobs: Vec<Asked> = (0..3).map(|_| wait(&admission, BOB)).collect();
    let mut served = Vec::new();
    for _ in 0..6 {
        held = None;
        for (key, asked) in [(ANN, &mut anns), (BOB, &mut bobs)] {
            if let Poll::Ready(permit) = poll(asked[0].as_mut()) {
                held = Some(permit.unwrap());
                drop(asked.remove(0));
                served.push(key);
            }
        }
    }
    drop(held);
    assert_eq!(served.iter().filter(|key| **key == BOB).count(), 3, "{served:?}");
}

#[tokio::test]
async fn whoever_has_fewest_permits_is_next() {
    let admission = admission(3, 100);
    let anns: Vec<Permit> = (0..3).map(|_| take(&admission, ANN)).collect();
    let mut more_of_ann = wait(&admission, ANN);
    let (mut bob, mut more_of_bob) = (wait(&admission, BOB), wait(&admission, BOB));
    let mut anns = anns.into_iter();
    drop(anns.next());
    let _bobs = outcome(&mut bob).unwrap();
    // Two of Ann's, one of Bob's.
    drop(anns.next());
    assert!(still_waits(&mut more_of_bob) != still_waits(&mut more_of_ann));
    drop(anns.next());
}

#[tokio::test]
async fn a_full_queue_makes_room_at_the_cost_of_whoever_has_most() {
    let admission = admission(2, 4);
    let _anns = [take(&admission, ANN), take(&admission, ANN)];
    let mut waiting: Vec<Asked> = (0..4).map(|_| wait(&admission, ANN)).collect();
    assert_eq!(refusal(&admission, ANN), Reason::QueueFull, "there is nobody else");
    let mut bob = wait(&admission, BOB);
    let evicted = outcome(&mut waiting[3]).unwrap_err();
    assert_eq!((evicted.reason, evicted.reason.doing()), (Reason::OverFairShare, Doing::Caller));
    assert!(waiting[..3].iter_mut().all(still_waits), "the newest goes");
    assert_eq!(admission.queued(), 4);
    assert_eq!(refusal(&admission, ANN), Reason::OverFairShare);
    let mut second = wait(&admission, BOB);
    assert!(outcome(&mut waiting[2]).is_err());
    // Ann has four, Bob two: one more for Bob, and they would be even.
    let mut third = wait(&admission, BOB);
    assert_eq!(refusal(&admission, BOB), Reason::QueueFull);
    assert!([&mut bob, &mut second, &mut third].into_iter().all(still_waits));
}

/// Ann asks a hundred times as often as Bob; each permit is held for as long as five of Ann's
/// requests take to come, so that the two permits are asked for twenty times over.
#[tokio::test(start_paused = true)]
async fn a_key_at_a_hundred_times_the_rate_starves_nobody() {
    let admission = admission(2, 20);
    let (mut held, mut waiting) = (Vec::new(), Vec::<(u64, Asked)>::new());
    let (mut bob_asked, mut bob_served, mut ann_served) = (0, 0, 0);
    for tick in 0..20_000u32 {
        advance(Duration::from_millis(10)).await;
        let key = if tick % 100 == 0 { BOB } else { ANN };
        bob_asked += u32::from(key == BOB);
        if let Ok(share) = admission.share(&Caller::unlimited(key)) {
            waiting.push((key, Box::pin(share.admit())));
        }
        if tick % 50 == 0 && held.len() == 2 {
            drop(held.remove(0));
        }
        let mut still = Vec::new();
        for (key, mut asked) in waiting {
            match poll(asked.as_mut()) {
                Poll::Pending => still.push((key, asked)),
                Poll::Ready(Err(_)) => {}
                Poll::Ready(Ok(permit)) => {
                    if key == BOB {
                        bob_served += 1
                    } else {
                        ann_served += 1
                    }
                    held.push(permit);
                }
            }
        }
        waiting = still;
    }
    assert!(bob_asked - bob_served <= 2, "{bob_served} of {bob_asked}");
    assert!(ann_served >= bob_served - 10, "{ann_served}: what Bob leaves is Ann's");
}

/// Ann alone asks for more than there is, all the time.
#[tokio::test(start_paused = true)]
async fn a_queue_that_stands_serves_the_newest_and_then_in_order_again() {
    let admission = admission(1, 8);
    let mut waiting: Vec<(u32, Asked)> = Vec::new();
    let mut held = Some(take(&admission, ANN));
    let mut orders = Vec::new();
    for tick in 0..240u32 {
        advance(Duration::from_millis(500)).await;
        let calm = tick >= 120;
        let asks = if calm { tick % 8 == 0 } else { true };
        if asks && let Ok(share) = admission.share(&Caller::unlimited(ANN)) {
            let mut asked: Asked = Box::pin(share.admit());
            if still_waits(&mut asked) {
                waiting.push((tick, asked));
            }
        }
        if tick % 2 == 0 {
            held = None;
        }
        let mut still = Vec::new();
        for (since, mut asked) in waiting {
            match poll(asked.as_mut()) {
                Poll::Pending => still.push((since, asked)),
                Poll::Ready(Err(_)) => {}
                Poll::Ready(Ok(permit)) => {
                    held = Some(permit);
                    orders.push((tick, tick - since));
                }
            }
        }
        waiting = still;
    }
    drop(held);
    let waits = |from: u32, to: u32| {
        let of = orders.iter().filter(move |(tick, _)| (from..to).contains(tick));
        of.map(|(_, waited)| *waited).collect::<Vec<_>>()
    };
    let early = waits(0, 10);
    assert!(early.windows(2).all(|pair| pair[0] <= pair[1]), "in order: {early:?}");
    let standing = waits(60, 120);
    assert!(standing.iter().all(|waited| *waited <= 2), "the newest: {standing:?}");
}
