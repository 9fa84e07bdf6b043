//! What a request leaves in the metrics at its end.

use std::time::Duration;

use super::Metrics;
use super::labels::{
    KeyLabels, KindLabel, ModelLabel, Name, OutcomeLabel, Owner, OwnerLabel, QueueLabel,
    ReasonLabel, RequestLabels, TokensLabels,
};
use crate::tries::Try;
use crate::waits::Queue;

/// What is known of a request at its end.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Whether it was a chat request, in whichever API.
    pub chat: bool,
    /// Which route, from a fixed list.
    pub route: &'static str,
    /// The model's public name as the table has it; empty if none was asked.
    pub model: String,
    /// What was answered.
    pub status: u16,
    /// Whose key it was, if it has a name.
    pub key_name: Option<String>,
    /// Who could have prevented the failure.
    pub owner: Owner,
    /// The kind of failure, from a fixed list.
    pub failure: Option<&'static str>,
    /// From the request's head to the end.
    pub took: Duration,
    /// Until the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// In each queue, if it was in it.
    pub waits: [(Queue, Option<Duration>); 3],
    /// Until the model's first token.
    pub first_token: Option<Duration>,
    /// From there to the upstream's last event, without what the client held up; None if it held up
    /// much, or the answer has not come to its end.
    pub generation: Option<Duration>,
    /// Each time that the upstream was asked.
    pub tries: Vec<Try>,
    /// Who made the gateway let go of the upstream before the end of its answer, if it did.
    pub cancelled_by: Option<Owner>,
    /// Tokens of request and answer, as the upstream counts.
    pub usage: Option<(u64, u64)>,
}

impl Metrics {
    /// A request has ended.
    pub(crate) fn ended(&self, ended: &Ended) {
        let Ended { route, model, status, owner, .. } = ended;
        let labels =
            RequestLabels { route, model: Name(model.clone()), status: *status, owner: *owner };
        self.requests.get_or_create(&labels).inc();
        if let Some(kind) = ended.failure {
            self.failures.get_or_create(&KindLabel { kind }).inc();
        }
        if ended.chat {
            self.chat_ended(ended);
        }
    }

    fn chat_ended(&self, ended: &Ended) {
        if let Some(name) = &ended.key_name {
            let labels = KeyLabels { key: Name(name.clone()), status: ended.status };
            self.by_key.get_or_create(&labels).inc();
        }
        self.asked(ended);
        for (queue, waited) in ended.waits {
            if let Some(waited) = waited {
                let waits = self.queue_waits.get_or_create(&QueueLabel { queue });
                waits.observe(waited.as_secs_f64());
            }
        }
        if !ended.model.is_empty() {
            self.of_model(ended);
        }
    }

    fn of_model(&self, ended: &Ended) {
        let label = ModelLabel { model: Name(ended.model.clone()) };
        self.durations.get_or_create(&label).observe(ended.took.as_secs_f64());
        if let Some(first) = ended.first_token {
            self.first_tokens.get_or_create(&label).observe(first.as_secs_f64());
        }
        if let Some(first) = ended.first_byte {
            self.first_bytes.get_or_create(&label).observe(first.as_secs_f64());
        }
        if let Some((prompt, completion)) = ended.usage {
            for (kind, count) in [("prompt", prompt), ("completion", completion)] {
                let labels = TokensLabels { kind, model: Name(ended.model.clone()) };
                self.tokens.get_or_create(&labels).inc_by(count);
            }
            if let (Some(took), true) = (ended.generation, completion > 1) {
                let each = took.as_secs_f64() / (completion - 1) as f64;
                self.per_token.get_or_create(&label).observe(each);
            }
        }
    }

    /// How the upstream was asked, if it was.
    fn asked(&self, ended: &Ended) {
        self.retries.inc_by(ended.tries.len().saturating_sub(1) as u64);
        for one in &ended.tries {
            self.attempts.get_or_create(&OutcomeLabel { outcome: one.outcome }).inc();
        }
        if let Some(owner) = ended.cancelled_by {
            self.cancels.get_or_create(&OwnerLabel { owner }).inc();
        }
        let Some(kind) = ended.failure else { return };
        if matches!(kind, "upstream_truncated" | "upstream_disconnected") {
            self.truncations.inc();
        }
        // 502: the upstream is known to refuse, and was not asked again.
        if ended.tries.is_empty() && matches!(ended.status, 429 | 502 | 503) {
            self.rejections.get_or_create(&ReasonLabel { reason: kind }).inc();
        }
    }
}
