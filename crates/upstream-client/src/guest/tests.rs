use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{advance, sleep};

use super::*;
use crate::pool::{PROBE, TokenState};
use crate::transport::{Body, TransportError};

/// Gives a new guest a second after each request, except while it is down.
#[derive(Default)]
struct Door {
    asked: AtomicUsize,
    down: std::sync::atomic::AtomicBool,
}

struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, TransportError>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

impl Transport for Arc<Door> {
    fn send(
        &self,
        _: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, TransportError>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let down = self.down.load(Ordering::Relaxed);
        async move {
            sleep(Duration::from_secs(1)).await;
            if down {
                return Err(TransportError::connect("down"));
            }
            let record = Bytes::from(format!(r#"{{"token":"guest-{number}"}}"#));
            Ok(Response::new(Box::pin(Whole(Some(record))) as Body))
        }
        .boxed()
    }
}

fn guests() -> (Arc<Door>, Guests) {
    let door = Arc::<Door>::default();
    let url = Uri::from_static("http://127.0.0.1/api/v1/auths/");
    let retry = RetryPolicy {
        jitter_min: Duration::ZERO,
        jitter_max: Duration::ZERO,
        ..RetryPolicy::default()
    };
    (Arc::clone(&door), Guests::new(Arc::new(door), HeaderMap::new(), url, retry))
}

async fn token(guests: &Guests) -> Outcome {
    match guests.key().await? {
        Key::Token(token) => Ok(token),
        Key::Fetch(fetch) => fetch.token().await,
    }
}

async fn generation(guests: &Guests) -> Option<u64> {
    token(guests).await.unwrap().generation()
}

#[tokio::test(start_paused = true)]
async fn a_late_word_about_an_older_token_changes_nothing() {
    let (_door, guests) = guests();
    assert_eq!(generation(&guests).await, Some(1));
    guests.forget(1, &Error::Empty);
    assert_eq!(generation(&guests).await, Some(2));
    guests.forget(1, &Error::Empty);
    assert_eq!(generation(&guests).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_while_the_old_one_serves() {
    let (door, guests) = guests();
    assert_eq!(generation(&guests).await, Some(1));
    advance(*REFRESH.start() - Duration::from_secs(1)).await;
    assert_eq!(generation(&guests).await, Some(1));
    assert_eq!(door.asked.load(Ordering::Relaxed), 1);
    advance(*REFRESH.end() - *REFRESH.start() + Duration::from_secs(1)).await;
    for _ in 0..100 {
        let token = token(&guests).now_or_never().expect("no wait");
        assert_eq!(token.unwrap().generation(), Some(1));
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(generation(&guests).await, Some(2));
    assert_eq!(door.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_serves_to_its_end_and_no_longer() {
    let (door, guests) = guests();
    generation(&guests).await;
    door.down.store(true, Ordering::Relaxed);
    advance(*REFRESH.end()).await;
    while guests.lock().have.as_ref().unwrap().end > Instant::now() {
        assert_eq!(generation(&guests).await, Some(1));
        sleep(Duration::from_secs(1)).await;
    }
    assert!(token(&guests).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_failures_the_upstream_is_asked_less_and_less() {
    let (door, guests) = guests();
    door.down.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        assert_eq!(token(&guests).await.unwrap_err().kind(), "upstream_no_guest_token");
        sleep(Duration::from_millis(100)).await;
    }
    // One second each, and waits of 1, 2, 4, 8, 10, 10, ... between them.
    assert_eq!(door.asked.load(Ordering::Relaxed), 8);
}

#[tokio::test(start_paused = true)]
async fn a_guest_is_well_until_a_fetch_has_failed_and_again_when_one_succeeds() {
    let (door, guests) = guests();
    assert!(guests.are_of_use() && guests.state() == TokenState::Ok);
    door.down.store(true, Ordering::Relaxed);
    token(&guests).await.unwrap_err();
    let TokenState::Cooling { left, reason } = guests.state() else { panic!("it failed") };
    assert_eq!((left, guests.rest()), (Duration::from_secs(1), left));
    assert!(reason.contains("no guest token"), "{reason}");
    door.down.store(false, Ordering::Relaxed);
    guests.try_again();
    assert_eq!(door.asked.load(Ordering::Relaxed), 1, "it is too early");
    sleep(Duration::from_secs(1)).await;
    assert!(!guests.are_of_use());
    (0..9).for_each(|_| guests.try_again());
    sleep(Duration::from_secs(2)).await;
    assert!(guests.are_of_use() && guests.state() == TokenState::Ok);
    guests.try_again();
    assert_eq!(door.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn guests_refused_twice_are_dead_until_one_is_answered_or_it_is_time_to_try() {
    let (_door, guests) = guests();
    for refused in 1..=2 {
        assert_eq!(generation(&guests).await, Some(refused));
        assert!(guests.are_of_use() && guests.state() == TokenState::Ok);
        guests.forget(refused, &Error::Empty);
    }
    assert!(!guests.are_of_use());
    generation(&guests).await;
    let reason = Error::Empty.to_string();
    assert_eq!(guests.state(), TokenState::Dead { reason });
    sleep(PROBE).await;
    assert!(guests.are_of_use());
    guests.forget(3, &Error::Empty);
    assert!(!guests.are_of_use());
    guests.accepted();
    assert!(guests.are_of_use() && guests.state() == TokenState::Ok);
}
