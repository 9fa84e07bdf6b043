//! All that was said, by the place that heard it, and which secrets each place may have heard.

use z2api_tests::{Gateway, Reply};

use crate::slots::{COMPLAINTS, End, MARK, SLOTS, on_arrival, secret};

/// Tokens of the simulated upstream's guests begin so.
const GUEST: &str = "sim-guest-";

#[derive(Default)]
pub(crate) struct Heard {
    /// Lines of the log: the gateway's records, and what any crate says.
    pub(crate) logs: Vec<String>,
    /// Heads, errors, pages.
    pub(crate) shown: Vec<String>,
    /// Answers.
    pub(crate) client: String,
    pub(crate) upstream: String,
    pub(crate) collector: String,
    pub(crate) proxy: String,
}

impl Heard {
    /// Reads an answer to its end.
    pub(crate) async fn reply(&mut self, reply: Reply) {
        self.shown.push(format!("{:?}", reply.headers()));
        let is_stream = reply.header("content-type") == Some("text/event-stream");
        match (reply.status, is_stream) {
            (200, true) => {
                for event in reply.events().await {
                    // What an error follows in an event is no error: Responses repeats its request.
                    let json: serde_json::Value = serde_json::from_str(&event).unwrap_or_default();
                    self.shown.push(format!("{} {}", json["error"], json["response"]["error"]));
                    self.client += &event;
                }
            }
            (200, false) => self.client += &reply.text().await,
            (_, _) => {
                let error = reply.text().await;
                self.client += &error;
                self.shown.push(error);
            }
        }
    }

    /// Reads a page, which nothing of a client or a model belongs on.
    pub(crate) async fn page(&mut self, reply: Reply) {
        self.shown.push(format!("{:?}", reply.headers()));
        self.shown.push(reply.text().await);
    }

    /// Takes what the upstream was asked.
    pub(crate) fn upstream(&mut self, sim: &z2api_upstream_sim::Sim) {
        for asked in sim.requests() {
            self.upstream += &format!("{} {:?}\n", asked.path, asked.headers);
            self.upstream += &String::from_utf8_lossy(&asked.body);
        }
    }

    /// Ends a gateway, and takes its last lines.
    pub(crate) async fn end(&mut self, gateway: Gateway) {
        self.upstream(&gateway.sim);
        gateway.stop();
        self.logs.extend(gateway.stopped().await.lines());
    }

    /// Adds what another part of the run heard.
    pub(crate) fn add(&mut self, other: Self) {
        self.logs.extend(other.logs);
        self.shown.extend(other.shown);
        self.client += &other.client;
        self.upstream += &other.upstream;
        self.collector += &other.collector;
        self.proxy += &other.proxy;
    }

    pub(crate) fn check(&self) {
        self.check_arrivals();
        for line in &self.logs {
            check("the log", line, &[]);
        }
        for shown in &self.shown {
            check("a head, an error or a page", shown, &COMPLAINTS.map(secret));
        }
        let arriving = |end| {
            let slots = SLOTS.iter().filter(move |(_, arrives)| *arrives == end);
            slots.map(|(slot, _)| on_arrival(slot)).collect::<Vec<_>>()
        };
        check("what the collector hears", &self.collector, &arriving(End::Collector));
        let guest = vec![GUEST.to_owned()];
        let upstream = [arriving(End::Upstream), guest].concat();
        check("what the upstream is asked", &self.upstream, &upstream);
        // All of it, since the upstream is not asked by TLS.
        let proxy = [arriving(End::Proxy), upstream].concat();
        check("what the proxy hears", &self.proxy, &proxy);
    }

    /// A secret that does not come where it should would prove nothing elsewhere.
    fn check_arrivals(&self) {
        for (slot, end) in SLOTS {
            let heard = match end {
                End::Here => continue,
                End::Upstream => &self.upstream,
                End::Client => &self.client,
                End::Collector => &self.collector,
                End::Proxy => &self.proxy,
            };
            assert!(heard.contains(&on_arrival(slot)), "{slot} does not come to {end:?}");
        }
    }
}

/// Fails where there is any secret, or a piece of one, other than the allowed ones.
fn check(place: &str, text: &str, allowed: &[String]) {
    let allow = |text: String, allowed: &String| text.replace(allowed, "");
    let text = allowed.iter().fold(text.to_owned(), allow);
    let odd = ["image-data", "proxy-password"].map(on_arrival);
    let never = odd.iter().map(String::as_str).chain([MARK, GUEST]);
    for secret in never {
        if let Some(at) = text.find(secret) {
            let start = text.floor_char_boundary(at.saturating_sub(300));
            let end = text.ceil_char_boundary((at + 300).min(text.len()));
            panic!("{secret} in {place}: {}", &text[start..end]);
        }
    }
}
