//! What an answer still sends after its end mark, such as the last chunk of its framing. Once that
//! has come its connection can be used again, which saves the next request a new one.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::transport::Body;

/// How long it may take, and how large it may be, in bytes. Beyond that the connection is closed.
const LIMIT: Duration = Duration::from_secs(1);
const MAX_REST: usize = 64 * 1024;

/// Reads the rest of a whole answer. In a task of its own, since nobody waits for it any more; it
/// ends by its own limits.
pub(crate) fn read_rest(body: Body) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(timeout(LIMIT, rest(body)));
    }
}

async fn rest(body: Body) {
    let mut body = Limited::new(body, MAX_REST);
    while let Some(Ok(_)) = body.frame().await {}
}
