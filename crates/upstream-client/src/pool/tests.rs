use futures::FutureExt;
use futures::future::join_all;
use tokio::task::yield_now;
use z2api_wire::event::Dialect;

use super::*;
use crate::classify::Refusal;
use crate::token::Token;

fn pool(tokens: usize) -> Pool {
    let token = |n| Source::Given(Token::given(&format!("token-{n}")).unwrap());
    let retry = RetryPolicy {
        jitter_min: Duration::ZERO,
        jitter_max: Duration::ZERO,
        ..RetryPolicy::default()
    };
    Pool::new((0..tokens).map(token).collect(), retry)
}

fn refusal(code: &str, retry_after: Option<u64>) -> Error {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
    let retry_after = retry_after.map(Duration::from_secs);
    Refusal::from_body(Dialect::OpenAi, 429, body.as_bytes(), retry_after, None).into_error()
}

fn soon() -> Instant {
    after(Duration::from_secs(60))
}

async fn take(pool: &Pool) -> Lease {
    pool.take("m", soon()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The kind of error for which there is no token, and how long it asks to wait.
async fn refused(pool: &Pool) -> (&'static str, Option<u64>) {
    let error = pool.take("m", soon()).await.err().expect("no token");
    (error.kind(), error.retry_after().map(|wait| wait.as_secs()))
}

fn states(pool: &Pool) -> Vec<&'static str> {
    let word = |status: TokenStatus| match status.state {
        TokenState::Ok => "ok",
        TokenState::Cooling { .. } => "cooling",
        TokenState::Parked { .. } => "parked",
        TokenState::Dead { .. } => "dead",
    };
    pool.status().into_iter().map(word).collect()
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_token_is_taken_in_turn() {
    let pool = pool(3);
    let mut first = join_all((0..3).map(|_| take(&pool))).await;
    assert_eq!(first.iter().map(|lease| lease.slot).collect::<Vec<_>>(), [0, 1, 2]);
    drop(first.remove(1));
    assert_eq!(take(&pool).await.slot, 1);
    drop(first);
    assert!(pool.status().iter().all(|status| status.in_flight == 0 && status.limits.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_live_makes_way_for_one_that_does() {
    for (code, state) in [("1002", "dead"), ("1308", "parked")] {
        let pool = pool(2);
        let lease = take(&pool).await;
        assert_eq!(lease.failed(&refusal(code, None), None), Again::Free, "{code}");
        drop(lease);
        assert_eq!(states(&pool), [state, "ok"]);
        for _ in 0..3 {
            assert_eq!(take(&pool).await.slot, 1);
        }
        let lease = take(&pool).await;
        assert_eq!(lease.failed(&refusal(code, None), None), Again::Untouched, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_is_of_use_again_when_it_may_be_tried() {
    for (code, seconds) in [("1002", 60), ("1308", 15 * 60)] {
        let pool = pool(1);
        let lease = take(&pool).await;
        lease.failed(&refusal(code, None), None);
        drop(lease);
        assert!(!pool.is_of_use(), "{code}");
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(pool.is_of_use(), "{code}");
    }
    let pool = pool(1);
    let lease = take(&pool).await;
    lease.failed(&refusal("1303", None), None);
    assert!(pool.is_of_use(), "it only cools");
}

#[tokio::test(start_paused = true)]
async fn a_token_cools_for_longer_each_time_and_no_longer_once_it_answers() {
    let pool = pool(1);
    for seconds in [1, 2, 4, 8, 10, 10] {
        let lease = take(&pool).await;
        assert_eq!(lease.failed(&refusal("1303", None), None), Again::Rested);
        drop(lease);
        assert_eq!((states(&pool)[0], pool.rest().as_secs()), ("cooling", seconds));
        let begin = Instant::now();
        take(&pool).await;
        assert_eq!(begin.elapsed().as_secs(), seconds);
    }
    let lease = take(&pool).await;
    lease.answered();
    lease.failed(&refusal("1303", None), None);
    assert_eq!(pool.rest().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_refusals_of_one_wave_cool_once() {
    let pool = pool(1);
    let wave = join_all((0..5).map(|_| take(&pool))).await;
    for lease in wave {
        lease.failed(&refusal("1303", None), None);
    }
    assert_eq!(pool.rest().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_own_wait_is_kept_and_told() {
    let pool = pool(1);
    let lease = take(&pool).await;
    assert_eq!(lease.failed(&refusal("1302", Some(90)), None), Again::Rested);
    drop(lease);
    assert_eq!(refused(&pool).await, ("upstream_rate_limited", Some(90)));
    tokio::time::advance(Duration::from_secs(40)).await;
    // What is left lies within the deadline now: a wait, and no refusal.
    let begin = Instant::now();
    take(&pool).await;
    assert_eq!(begin.elapsed().as_secs(), 50);
}

#[tokio::test(start_paused = true)]
async fn parked_tokens_say_when_the_first_is_back() {
    let pool = pool(2);
    for wait in [7200, 3600] {
        take(&pool).await.failed(&refusal("1308", Some(wait)), None);
    }
    assert_eq!(refused(&pool).await, ("upstream_quota_exhausted", Some(3600)));
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(take(&pool).await.slot, 1);
    assert_eq!(states(&pool), ["parked", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn dead_tokens_are_asked_once_a_minute_when_no_other_is_left() {
    let pool = pool(1);
    take(&pool).await.failed(&refusal("1002", None), None);
    assert_eq!(refused(&pool).await, ("upstream_unauthorized", None));
    tokio::time::advance(PROBE).await;
    let probe = take(&pool).await;
    assert_eq!(refused(&pool).await, ("upstream_unauthorized", None));
    probe.answered();
    assert_eq!(states(&pool), ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_and_is_served_in_order() {
    let pool = pool(1);
    let (first, second) = (take(&pool).await, take(&pool).await);
    assert_eq!(second.failed(&refusal("1302", None), None), Again::Free);
    drop(second);
    let order = std::sync::Mutex::new(Vec::new());
    let waits = (0..5).map(|number| {
        let (pool, order) = (&pool, &order);
        async move {
            let lease = take(pool).await;
            lease.answered();
            order.lock().unwrap().push(number);
            yield_now().await;
            assert_eq!(pool.status()[0].in_flight, 1);
        }
    });
    let mut waits = join_all(waits);
    assert!((&mut waits).now_or_never().is_none());
    assert!(order.lock().unwrap().is_empty());
    first.answered();
    drop(first);
    waits.await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_lets_the_next_one_on() {
    let pool = pool(1);
    let (first, second) = (take(&pool).await, take(&pool).await);
    second.failed(&refusal("1302", None), None);
    drop(second);
    let mut gone = Box::pin(take(&pool));
    assert!((&mut gone).now_or_never().is_none());
    let mut next = Box::pin(take(&pool));
    assert!((&mut next).now_or_never().is_none());
    drop(gone);
    drop(first);
    assert!(next.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn other_models_and_other_tokens_are_not_held_up() {
    let pool = pool(2);
    let leases = join_all((0..4).map(|_| take(&pool))).await;
    assert_eq!(leases[0].failed(&refusal("1302", None), None), Again::Free);
    let limits: Vec<_> = pool.status().into_iter().map(|status| status.limits.len()).collect();
    assert_eq!(limits, [1, 0]);
    assert_eq!(take(&pool).await.slot, 1);
    assert_eq!(pool.take("another", soon()).await.ok().unwrap().slot, 0);
}

#[tokio::test(start_paused = true)]
async fn no_turn_before_the_deadline_is_a_rate_limit() {
    let pool = pool(1);
    let (_first, second) = (take(&pool).await, take(&pool).await);
    second.failed(&refusal("1302", None), None);
    drop(second);
    assert_eq!(refused(&pool).await, ("upstream_rate_limited", None));
}
