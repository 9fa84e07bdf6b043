//! A thousand callers at once, and what the upstream sees of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::iter;
use z2api_upstream_client::{Client, Dialect};
use z2api_upstream_sim::{Guests, Script, Sim, faults};

use crate::fake::{Fake, Reply};
use crate::support::{SHORT, WEB_DONE, ask, client, framed, settings, web_text};

const CALLERS: usize = 1000;
/// As many as the smallest usual limit of open files allows.
const AT_ONCE: usize = 200;

fn fine() -> Script {
    Script::events([web_text("fine").as_str(), WEB_DONE])
}

#[tokio::test]
async fn a_storm_of_401_costs_one_refresh() {
    let sim = Sim::start(fine()).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.token = None;
    let client = Client::new(settings).unwrap();
    ask(&client).await.unwrap();
    sim.revoke_guests();
    sim.guests(Guests::Slow(SHORT));
    let asked = iter((0..CALLERS).map(|_| ask(&client))).buffer_unordered(AT_ONCE);
    let answered = asked.filter(|asked| std::future::ready(asked.is_ok())).count().await;
    assert_eq!((answered, sim.guest_requests()), (CALLERS, 2));
    let refused = sim.chat_requests() - 1 - CALLERS;
    assert!(refused <= AT_ONCE, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_401_in_the_same_moment_cost_one_refresh() {
    let guests = AtomicUsize::new(0);
    let upstream = Fake::new(move |asked, number| match asked.bearer.as_str() {
        "" => {
            let guest = guests.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::status(200, format!(r#"{{"token":"guest-{guest}"}}"#))
        }
        // The very first chat is answered, and that guest is refused ever after.
        "guest-1" if number > 1 => Reply::status(401, "").after(Duration::from_secs(1)),
        _ => Reply::status(200, framed(&[&web_text("fine"), WEB_DONE]))
            .header("content-type", "text/event-stream"),
    });
    let client = upstream.client(|settings| {
        settings.dialect = Some(Dialect::ZaiWeb);
        settings.token = None;
        settings.retry.retries = 0;
    });
    ask(&client).await.unwrap();
    let answers = join_all((0..CALLERS).map(|_| ask(&client))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().attempts == 2));
    let fetches = upstream.asked().iter().filter(|asked| asked.bearer.is_empty()).count();
    assert_eq!((fetches, upstream.asked().len()), (2, 1 + 1 + CALLERS + 1 + CALLERS));
}

#[tokio::test]
async fn a_storm_of_429_is_not_multiplied_on_the_wire() {
    let refusal = faults::api_error(429, "1302", "slow down").header("retry-after", "3600");
    let sim = Sim::start(refusal).await.unwrap();
    let client = client(&sim, Dialect::OpenAi);
    let asked = iter((0..CALLERS).map(|_| ask(&client))).buffer_unordered(AT_ONCE);
    let limited = |kind| kind == "upstream_rate_limited";
    let kinds = asked.map(|asked| asked.unwrap_err().error.kind()).collect::<Vec<_>>().await;
    assert!(kinds.into_iter().all(limited));
    assert!(sim.chat_requests() <= AT_ONCE, "{}", sim.chat_requests());
}

#[tokio::test]
async fn a_redirect_to_elsewhere_is_never_followed() {
    let elsewhere = Sim::start(fine()).await.unwrap();
    let address: SocketAddr = elsewhere.addr();
    for dialect in [Dialect::ZaiWeb, Dialect::OpenAi] {
        let sim = Sim::start(faults::redirect(&format!("http://{address}/api/chat/completions")));
        let sim = sim.await.unwrap();
        let failed = ask(&client(&sim, dialect)).await.unwrap_err();
        assert_eq!((failed.error.kind(), failed.attempts), ("upstream_redirected", 1));
    }
    assert_eq!(elsewhere.connections(), 0);
}
