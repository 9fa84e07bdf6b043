//! What is read off when somebody asks for the metrics, and all of them as text.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus_client::encoding::text::encode;

use super::Metrics;
use super::labels::{LearnedLabels, Name, QueueLabel, StateLabel};
use crate::waits::Queue;

/// What is read off at the moment of asking.
#[derive(Debug, Clone)]
pub struct Readings {
    /// Requests that hold a slot.
    pub in_flight: usize,
    /// Requests in each queue.
    pub queued: [(Queue, usize); 3],
    /// How many slots there are.
    pub limit: usize,
    /// Open client connections.
    pub connections: usize,
    /// How many of them there may be.
    pub connections_limit: usize,
    /// Tasks of the runtimes.
    pub tasks: usize,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// The limit of resident memory, in bytes.
    pub memory_limit: u64,
    /// Log lines that were dropped.
    pub log_dropped: u64,
    /// Spans of traces that were sent, and that were dropped.
    pub spans: (u64, u64),
    /// Since the start.
    pub uptime: Duration,
    /// The upstream's tokens, by state.
    pub tokens: Vec<(&'static str, usize)>,
    /// The states that the upstream's breaker can have, and whether it is in it.
    pub breaker: Vec<(&'static str, bool)>,
    /// What was learned about how many requests a token may have in flight: its place, the
    /// upstream's id of the model, how many.
    pub learned: Vec<(usize, String, u32)>,
    /// The rungs of the memory ladder, and whether it stands on them.
    pub memory_states: Vec<(&'static str, bool)>,
    /// Whether new work may come.
    pub ready: bool,
}

impl Metrics {
    /// All metrics in OpenMetrics' text form.
    pub fn text(&self, now: &Readings) -> String {
        let _one_at_a_time = self.scraped.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.in_flight.set(whole(now.in_flight));
        for (queue, count) in now.queued {
            self.queued.get_or_create(&QueueLabel { queue }).set(whole(count));
        }
        self.limit.set(whole(now.limit));
        self.connections.set(whole(now.connections));
        self.connections_limit.set(whole(now.connections_limit));
        self.tasks.set(whole(now.tasks));
        self.memory.set(now.memory);
        self.memory_limit.set(now.memory_limit);
        // The log and the tracer count by themselves: their counts are taken over.
        self.log_dropped.inner().store(now.log_dropped, Relaxed);
        self.spans_sent.inner().store(now.spans.0, Relaxed);
        self.spans_dropped.inner().store(now.spans.1, Relaxed);
        self.uptime.set(now.uptime.as_secs_f64());
        for (state, count) in &now.tokens {
            self.upstream_tokens.get_or_create(&StateLabel { state }).set(whole(*count));
        }
        for (state, is) in &now.breaker {
            self.breaker.get_or_create(&StateLabel { state }).set(i64::from(*is));
        }
        for (state, is) in &now.memory_states {
            self.memory_state.get_or_create(&StateLabel { state }).set(i64::from(*is));
        }
        self.learned.clear();
        for (token, model, limit) in &now.learned {
            let labels = LearnedLabels { token: *token as u64, model: Name(model.clone()) };
            self.learned.get_or_create(&labels).set(i64::from(*limit));
        }
        self.ready.set(i64::from(now.ready));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
