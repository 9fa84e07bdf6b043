//! An answer in one piece.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::time::{Instant, timeout_at};
use z2api_observability::{RequestRecord, Said};
use z2api_stream_transform::{Fold, Folded, Progress, Transform};
use z2api_upstream_client::Client;
use z2api_wire::chat::Chat;

use crate::api::Api;
use crate::app::App;
use crate::body::{Body, Response, json_bytes};
use crate::chat::{note_counts, note_end, refused};
use crate::error::ApiError;
use crate::feedback::Feedback;
use crate::hearing::Hearing;
use crate::live::Live;
use crate::question::Question;
use crate::slot::Slot;
use crate::tee::Tee;

/// The answer in one piece: the same stream, folded, within its own deadline.
pub(crate) async fn whole<A: Api>(
    app: &Arc<App>,
    live: &Live,
    question: Box<Question<A>>,
    slot: Slot,
    mut record: Box<RequestRecord>,
) -> Response {
    let began = Instant::now();
    let in_time = began + live.limits.request;
    let mut out_of_time = app.out_of_time.subscribe();
    let Question { api, chat, options, id, feedback, lease: _room, .. } = *question;
    let told_to_end = slot.listed.told();
    let mut gathered = Gathered {
        transform: Transform::new(options),
        fold: Fold::default(),
        kept: live.log.answers.then(Said::default),
        record: &mut record,
    };
    let outcome = tokio::select! {
        asked = timeout_at(
            began + live.limits.hold,
            gathered.ask(&live.client, &feedback, &chat, in_time),
        ) => asked.unwrap_or_else(|_| Err(ApiError::held_too_long())),
        _ = out_of_time.wait_for(|over| *over) => Err(ApiError::shutting_down()),
        () = told_to_end => Err(ApiError::out_of_memory()),
    };
    feedback.gathered();
    let completion = outcome.and_then(|()| api.whole(gathered.end()?, &id));
    drop(gathered);
    let completion = match completion {
        Ok(completion) => completion,
        Err(error) => return refused::<A>(record, &error),
    };
    record.status(StatusCode::OK.as_u16());
    let response = json_bytes(StatusCode::OK, Vec::new());
    response.map(|_| Body::last(completion, record, slot, app))
}

/// What has come of an answer. Dropping it notes that in the record: at its end, or where its client
/// hangs up before.
struct Gathered<'a> {
    transform: Transform,
    fold: Fold,
    /// What is said, if the log is to have it.
    kept: Option<Said>,
    record: &'a mut RequestRecord,
}

impl Gathered<'_> {
    /// Asks, and folds the whole stream, which is to be there in time. Until it begins, the client has
    /// a clock of its own for that, which knows whether the upstream was silent or had no room.
    async fn ask(
        &mut self,
        client: &Client,
        feedback: &Feedback,
        chat: &Chat,
        in_time: Instant,
    ) -> Result<(), ApiError> {
        let outcome = feedback.ask(client, chat).await;
        let mut hearing = outcome.map_err(|failed| ApiError::from(&failed.error))?;
        let folding = poll_fn(|cx| self.poll(&mut hearing, cx));
        timeout_at(in_time, folding).await.map_err(|_| ApiError::too_slow())?
    }

    fn poll(&mut self, hearing: &mut Hearing, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        loop {
            let Self { transform, fold, kept, record } = self;
            let mut tee = Tee { sink: fold, kept: kept.as_mut() };
            let (count, heard) = hearing.poll_into(cx, transform, &mut tee);
            record.events(count);
            if let Progress::Whole = ready!(heard)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The stream has come to its end: what it says as a whole.
    fn end(&mut self) -> Result<Folded<'_>, ApiError> {
        let mut tee = Tee { sink: &mut self.fold, kept: self.kept.as_mut() };
        self.transform.end(&mut tee).map_err(|error| ApiError::from(&error))?;
        note_end(&self.transform, self.record);
        self.fold.whole().ok_or_else(ApiError::internal)
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        note_counts(&self.transform, self.record);
        if let Some(kept) = self.kept.take() {
            self.record.answer(kept);
        }
    }
}
