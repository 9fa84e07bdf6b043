//! An upstream that is down, and how little it is asked then. Time stands still here.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::advance;

use crate::fake::{Fake, Reply};
use crate::support::{ask, ask_whole};

#[tokio::test(start_paused = true)]
async fn retries_in_an_outage_are_a_tenth_of_the_traffic() {
    let fake = Fake::new(|_, _| Reply::code(500, "1234"));
    let client = fake.client(|settings| settings.breaker.failures = 0);
    let chats = 1000;
    for _ in 0..chats {
        ask(&client).await.unwrap_err();
    }
    let retries = fake.asked().len() - chats;
    assert!((100..=110).contains(&retries), "{retries}");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_down_is_left_alone_and_probed_by_one() {
    let fake = Fake::new(|_, number| match number {
        0..=5 => Reply::refused(),
        _ => Reply::fine(),
    });
    let client = fake.client(|settings| settings.retry.retries = 0);
    for _ in 0..5 {
        assert_eq!(ask(&client).await.unwrap_err().error.kind(), "upstream_connect");
    }
    let failed = ask(&client).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.attempts), ("upstream_unavailable", 0));
    assert!(failed.error.retry_after().is_some());

    advance(Duration::from_millis(1500)).await;
    let kinds = join_all((0..20).map(|_| ask(&client))).await;
    let kinds: Vec<_> = kinds.into_iter().map(|asked| asked.unwrap_err().error.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "upstream_connect").count(), 1);
    assert_eq!(fake.asked().len(), 6);

    advance(Duration::from_secs(3)).await;
    assert_eq!(ask_whole(&client).await, "fine");
    assert_eq!(ask_whole(&client).await, "fine");
}
