//! Tells admission how the upstream does, for a limit that follows it.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::time::Instant;
use tracing::{Instrument, Span, error_span};
use z2api_admission::Admission;
use z2api_observability::{REQUEST_SPAN, RequestRecord};
use z2api_upstream_client::{Client, Error, Failed, Started};
use z2api_wire::chat::Chat;

use crate::hearing::Hearing;
use crate::observed::Observed;
use crate::traced;

/// Watches one request's way to its first event.
#[derive(Debug)]
pub(crate) struct Feedback {
    admission: Admission,
    class: u64,
    observed: Observed,
    /// Names the request in the lines that its attempts leave in the log.
    span: Span,
}

impl Feedback {
    /// Requests for the same model with a body of about the same size are of one class: they may
    /// be expected to take about the same time.
    pub(crate) fn new(
        admission: &Admission,
        record: &RequestRecord,
        model: &str,
        body: usize,
    ) -> Self {
        let mut class = DefaultHasher::new();
        (model, body.checked_ilog2()).hash(&mut class);
        let (admission, class) = (admission.clone(), class.finish());
        let observed = Observed { tries: record.tries() };
        let (request_id, trace_id) = (record.id().as_str(), record.tries().trace_id());
        let trace_id = trace_id.as_deref();
        let span = error_span!(target: REQUEST_SPAN, "request", request_id, trace_id);
        Self { admission, class, observed, span }
    }

    /// An answer that goes out in one piece is all there, or will not be.
    pub(crate) fn gathered(&self) {
        self.observed.tries.gathered();
    }

    /// Asks the upstream, and tells what came of it.
    pub(crate) async fn ask(&self, client: &Client, chat: &Chat) -> Result<Hearing, Failed> {
        self.observed.tries.asks(|| traced::call(client, chat));
        let asked = Instant::now();
        let asking = client.chat_observed(chat, &self.observed).instrument(self.span.clone());
        let outcome = asking.await;
        if let Ok(started) = &outcome {
            self.observed.tries.answers(|| traced::answer_name(started.events.named()));
        }
        match &outcome {
            // With a second attempt in it, the time says nothing.
            Ok(started) if started.attempts == 1 => {
                self.admission.first_event(self.class, asked.elapsed());
            }
            Ok(_) => {}
            Err(failed) => {
                if matches!(failed.error, Error::RateLimited { .. }) {
                    self.admission.refused_upstream();
                }
            }
        }
        outcome.map(|Started { events, .. }| Hearing::new(events, self.observed.tries.clone()))
    }
}
