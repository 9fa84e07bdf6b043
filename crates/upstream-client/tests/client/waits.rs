//! How long is waited between two attempts, as the upstream sees it. Time stands still here.

use std::time::Duration;

use crate::fake::{Fake, Reply};
use crate::support::{ask, ask_whole};

#[tokio::test(start_paused = true)]
async fn waits_double_up_to_the_cap() {
    let fake = Fake::new(|_, number| if number < 6 { Reply::refused() } else { Reply::fine() });
    let client = fake.client(|settings| settings.retry.retries = 6);
    assert_eq!(ask_whole(&client).await, "fine");
    assert_eq!(fake.times(), [0, 1000, 3000, 7000, 15_000, 25_000, 35_000]);
}

#[tokio::test(start_paused = true)]
async fn the_jitter_comes_on_top_of_each_wait() {
    let fake = Fake::new(|_, _| Reply::code(500, "1234"));
    let client = fake.client(|settings| {
        settings.retry.jitter_min = Duration::from_millis(7);
        settings.retry.jitter_max = Duration::from_millis(19);
    });
    ask(&client).await.unwrap_err();
    let times = fake.times();
    let jitters =
        times.windows(2).zip([1000, 2000, 4000]).map(|(pair, step)| pair[1] - pair[0] - step);
    assert!(jitters.clone().all(|jitter| (7..=20).contains(&jitter)), "{times:?}");
    assert_eq!(jitters.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_asks_for_is_waited_within_the_deadline() {
    let later = |wait| {
        move |_: &_, number| match number {
            0 => Reply::code(503, "1234").header("retry-after", wait),
            _ => Reply::fine(),
        }
    };
    let fake = Fake::new(later("7"));
    assert_eq!(ask_whole(&fake.client(|_| {})).await, "fine");
    assert_eq!(fake.times(), [0, 7000]);

    let fake = Fake::new(later("121"));
    let failed = ask(&fake.client(|_| {})).await.unwrap_err();
    assert_eq!(failed.error.retry_after(), Some(Duration::from_secs(121)));
    assert_eq!(fake.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all_attempts() {
    let fake = Fake::new(|_, _| Reply::refused().after(Duration::from_secs(20)));
    let client = fake.client(|settings| settings.timeouts.first_event = Duration::from_secs(50));
    let begin = tokio::time::Instant::now();
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_first_event_timeout", 3));
    assert_eq!(begin.elapsed(), Duration::from_secs(50));
}
