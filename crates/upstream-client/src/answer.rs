//! The head of an answer: a stream of events to read, or a refusal.

use std::future::poll_fn;

use ::http::Response;
use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use z2api_wire::event::Dialect;

use crate::classify::{Refusal, looks_like_html};
use crate::dialect;
use crate::error::{Error, Found};
use crate::reader::Reader;
use crate::retry_after;
use crate::token::Token;
use crate::transport::{Body, TransportError};

/// The most of a refusal's body that is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;

/// Looks at an answer and gives the reader of its events.
///
/// # Errors
/// Whatever the answer is instead. The caller bounds the time.
pub(crate) async fn open(
    mut answer: Response<Body>,
    dialect: Dialect,
    max_event: usize,
    token: Option<Token>,
) -> Result<Reader, Error> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(Error::Redirected { status: status.as_u16() });
    }
    if is_encoded(&answer) {
        return Err(match status.as_u16() {
            200 => Error::NotAStream { found: Found::Compressed },
            _ => refused(dialect, &answer, b"", token.as_ref()),
        });
    }
    if status != 200 {
        let body = bounded(&mut answer, Bytes::new()).await;
        return Err(refused(dialect, &answer, &body, token.as_ref()));
    }
    let (kind, first) = match kind_of(&answer) {
        Some(kind) => (kind, Bytes::new()),
        None => sniff(&mut answer).await?,
    };
    match kind {
        Kind::Events => Ok(Reader::new(answer.into_body(), first, dialect, max_event, token)),
        Kind::Json => {
            let body = bounded(&mut answer, first).await;
            Err(match z2api_wire::fault::Fault::from_body(&body) {
                Some(_) => refused(dialect, &answer, &body, token.as_ref()),
                None => Error::NotAStream { found: Found::Json },
            })
        }
        Kind::Html => Err(dialect::page(dialect)),
        Kind::Other => Err(Error::NotAStream { found: Found::OtherType }),
    }
}

/// Reads a small JSON answer whole: the record of a guest or a file.
///
/// # Errors
/// Whatever the answer is instead. The caller bounds the time.
pub(crate) async fn small(
    mut answer: Response<Body>,
    dialect: Dialect,
    token: Option<&Token>,
) -> Result<Bytes, Error> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(Error::Redirected { status: status.as_u16() });
    }
    let body = bounded(&mut answer, Bytes::new()).await;
    if status != 200 && status != 201 {
        return Err(refused(dialect, &answer, &body, token));
    }
    if looks_like_html(&body) {
        return Err(dialect::page(dialect));
    }
    Ok(body)
}

enum Kind {
    Events,
    Json,
    Html,
    Other,
}

/// What the content type says; None without one, or for an empty one.
fn kind_of(answer: &Response<Body>) -> Option<Kind> {
    let value = answer.headers().get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match kind.as_str() {
        "" => return None,
        "text/event-stream" => Kind::Events,
        "text/html" | "application/xhtml+xml" => Kind::Html,
        kind if kind.ends_with("/json") || kind.ends_with("+json") => Kind::Json,
        _other => Kind::Other,
    })
}

/// What the first byte says, and the bytes read for it.
async fn sniff(answer: &mut Response<Body>) -> Result<(Kind, Bytes), Error> {
    loop {
        let Some(bytes) = chunk(answer).await? else {
            return Err(Error::Empty);
        };
        match bytes.trim_ascii_start().first() {
            // Blank lines before the first event say nothing.
            None => {}
            Some(b'<') => return Ok((Kind::Html, bytes)),
            Some(b'{' | b'[') => return Ok((Kind::Json, bytes)),
            Some(_) => return Ok((Kind::Events, bytes)),
        }
    }
}

fn is_encoded(answer: &Response<Body>) -> bool {
    answer
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The next bytes of the body; None at its end.
async fn chunk(answer: &mut Response<Body>) -> Result<Option<Bytes>, TransportError> {
    loop {
        match poll_fn(|cx| answer.body_mut().as_mut().poll_frame(cx)).await.transpose()? {
            Some(frame) => match frame.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(_trailers) => {}
            },
            None => return Ok(None),
        }
    }
}

/// The body up to the limit. A body that breaks off is still worth judging by its status.
async fn bounded(answer: &mut Response<Body>, first: Bytes) -> Bytes {
    let mut body = BytesMut::from(first);
    while body.len() < MAX_REFUSAL {
        match chunk(answer).await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(MAX_REFUSAL);
    body.freeze()
}

fn refused(dialect: Dialect, answer: &Response<Body>, body: &[u8], token: Option<&Token>) -> Error {
    let retry_after = retry_after::of(answer.headers());
    Refusal::from_body(dialect, answer.status().as_u16(), body, retry_after, token).into_error()
}
