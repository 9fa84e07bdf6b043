//! HTTP/2 where it is offered: streams share connections, and none waits for another.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use http::Version;
use tokio::time::timeout;
use z2api_upstream_client::{Client, EventStream};

use crate::secure::{Manner, Reply, Secure};
use crate::support::{LONG, SHORT, ask, ask_whole, drain};

/// So many answers that have begun and go on, all at once.
async fn begun(client: &Client, answers: usize) -> Vec<EventStream> {
    let asked = join_all((0..answers).map(|_| ask(client)));
    let started = timeout(LONG, asked).await.expect("no stream waits for another");
    started.into_iter().map(|started| started.unwrap().events).collect()
}

/// Waits until so many answers are going on, as the upstream sees it.
async fn until_open(upstream: &Secure, answers: usize) {
    let seen = async {
        while upstream.open() != answers {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, seen).await.unwrap_or_else(|_| panic!("{} are open", upstream.open()));
}

#[tokio::test]
async fn streams_share_a_connection() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Begun).await;
    let client = upstream.client();
    let streams = begun(&client, 50).await;
    assert_eq!((streams.len(), upstream.connections()), (50, 1));
    assert!(upstream.versions().iter().all(|version| *version == Version::HTTP_2));
}

#[tokio::test]
async fn streams_beyond_what_a_connection_takes_do_not_wait_but_open_another() {
    let manner = Manner { streams: 4, ..Manner::default() };
    let upstream = Secure::start(manner, |_| Reply::Begun).await;
    let client = upstream.client();
    let mut streams = begun(&client, 10).await;
    assert_eq!(upstream.connections(), 3);
    // One after the other finds the last two places, and then a fourth connection.
    for connections in [3, 3, 4] {
        streams.extend(begun(&client, 1).await);
        assert_eq!(upstream.connections(), connections);
    }
    assert_eq!(upstream.open(), 13);
}

#[tokio::test]
async fn more_than_a_hundred_streams_at_once_all_begin() {
    let manner = Manner { streams: 1000, ..Manner::default() };
    let upstream = Secure::start(manner, |_| Reply::Begun).await;
    let client = upstream.client();
    let streams = begun(&client, 250).await;
    assert_eq!((streams.len(), upstream.connections()), (250, 3));
}

#[tokio::test]
async fn a_place_is_used_again_when_its_stream_is_over() {
    let manner = Manner { streams: 1, ..Manner::default() };
    let upstream = Secure::start(manner, |_| Reply::Fine).await;
    let client = upstream.client();
    for _ in 0..20 {
        assert_eq!(ask_whole(&client).await, "fine");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn dropping_a_stream_resets_it_and_no_other() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Begun).await;
    let client = upstream.client();
    let mut streams = begun(&client, 3).await;
    streams.truncate(1);
    until_open(&upstream, 1).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { ask(&client).await.map(drop) }
    });
    asking.await.unwrap().unwrap();
    until_open(&upstream, 1).await;
    assert!(streams[0].next().await.unwrap().is_ok());
    assert!(timeout(SHORT, streams[0].next()).await.is_err(), "it goes on");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn readers_who_are_away_hold_up_nobody() {
    let upstream = Secure::start(Manner::default(), |number| match number {
        0..99 => Reply::Flood,
        _ => Reply::Fine,
    });
    let upstream = upstream.await;
    let client = upstream.client();
    let away = begun(&client, 99).await;
    // Whatever is sent to those who are away is there by now, or as good as.
    tokio::time::sleep(SHORT).await;
    for _ in 0..20 {
        assert_eq!(timeout(LONG, ask_whole(&client)).await.unwrap(), "fine");
    }
    assert_eq!((away.len(), upstream.connections()), (99, 1));
}

#[tokio::test]
async fn a_cut_connection_ends_its_streams_with_an_error_and_another_is_opened() {
    let upstream = Secure::start(Manner::default(), |number| match number {
        0..3 => Reply::Begun,
        _ => Reply::Fine,
    });
    let upstream = upstream.await;
    let client = upstream.client();
    let streams = begun(&client, 3).await;
    upstream.cut();
    for stream in streams {
        let (events, error) = timeout(LONG, drain(stream)).await.unwrap();
        assert_eq!((events.len(), error.unwrap().kind()), (1, "upstream_disconnected"));
    }
    assert_eq!(ask_whole(&client).await, "fine");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_says_goodbye_is_replaced_and_its_streams_go_on() {
    let upstream = Secure::start(Manner::default(), |number| match number {
        0 => Reply::Begun,
        _ => Reply::Fine,
    });
    let upstream = upstream.await;
    let client = upstream.client();
    let mut streams = begun(&client, 1).await;
    upstream.say_goodbye();
    let replaced = async {
        while upstream.connections() < 2 {
            assert_eq!(ask_whole(&client).await, "fine");
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, replaced).await.unwrap();
    assert!(streams[0].next().await.unwrap().is_ok());
    assert!(timeout(SHORT, streams[0].next()).await.is_err(), "it goes on");
}

#[tokio::test]
async fn where_it_is_not_offered_each_stream_has_a_connection_of_its_own() {
    for protocols in [vec![], vec!["http/1.1"]] {
        let manner = Manner { protocols, ..Manner::default() };
        let upstream = Secure::start(manner, |_| Reply::Begun).await;
        let client = upstream.client();
        let streams = begun(&client, 20).await;
        // The connection that was to find out is one of them.
        assert_eq!((streams.len(), upstream.connections()), (20, 20));
        assert!(upstream.versions().iter().all(|version| *version == Version::HTTP_11));
    }
}

#[tokio::test]
async fn where_it_is_not_wanted_it_is_not_spoken() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Begun).await;
    let mut settings = upstream.settings();
    settings.http2 = false;
    let client = Client::new(settings).unwrap();
    let streams = begun(&client, 5).await;
    assert_eq!((streams.len(), upstream.connections()), (5, 5));
    assert!(upstream.versions().iter().all(|version| *version == Version::HTTP_11));
}

#[tokio::test]
async fn an_asker_who_leaves_does_not_take_the_connection_from_the_others() {
    let upstream = Secure::start(Manner::default(), |_| Reply::Fine).await;
    let client = upstream.client();
    let first = tokio::spawn({
        let client = client.clone();
        async move { ask(&client).await.map(drop) }
    });
    let second = tokio::spawn(async move { ask_whole(&client).await });
    tokio::task::yield_now().await;
    first.abort();
    let _either = first.await;
    assert_eq!(second.await.unwrap(), "fine");
    assert_eq!(upstream.connections(), 1);
}
