//! What differs between the dialects, each in its own file; this one only picks.

mod openai;
mod zai_files;
mod zai_web;

use ::http::HeaderMap;
use serde_json::value::RawValue;
use z2api_wire::chat::Chat;
use z2api_wire::event::Dialect;

use crate::classify::Refusal;
use crate::endpoint::Endpoint;
use crate::error::{Error, Found};
use crate::settings::{Settings, SettingsError};

/// One request, ready to be sent: headers of its own, and a body, which is JSON if they name no
/// other type.
pub(crate) struct Outgoing {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Something that has to be sent ahead of a chat.
pub(crate) struct Attachment {
    pub(crate) name: String,
    /// Its media type.
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

/// Something that was sent ahead, as the upstream knows it.
pub(crate) struct Uploaded {
    pub(crate) id: String,
    pub(crate) record: Box<RawValue>,
    pub(crate) name: String,
    pub(crate) size: usize,
}

/// What has to be sent ahead of this chat.
///
/// # Errors
/// [`Error::BadRequest`] for what the dialect, or a guest of it, cannot send.
pub(crate) fn attachments(
    dialect: Dialect,
    chat: &Chat,
    guest: bool,
) -> Result<Vec<Attachment>, Error> {
    match dialect {
        Dialect::ZaiWeb => zai_files::attachments(chat, guest),
        Dialect::OpenAi => Ok(Vec::new()),
    }
}

/// Writes the request that sends an attachment ahead.
pub(crate) fn upload(attachment: &Attachment) -> Result<Outgoing, Error> {
    zai_files::upload(attachment)
}

/// Reads the answer to it; None if it says nothing of use.
pub(crate) fn uploaded(attachment: &Attachment, answer: &[u8]) -> Option<Uploaded> {
    zai_files::uploaded(attachment, answer)
}

/// The headers that all requests of a client share.
pub(crate) fn common_headers(
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<HeaderMap, SettingsError> {
    match endpoint.dialect {
        Dialect::ZaiWeb => zai_web::common_headers(endpoint, settings),
        Dialect::OpenAi => Ok(HeaderMap::new()),
    }
}

/// Whether a token can be had by asking, where none is given.
pub(crate) fn has_guests(dialect: Dialect) -> bool {
    match dialect {
        Dialect::ZaiWeb => true,
        Dialect::OpenAi => false,
    }
}

/// Writes a chat in the dialect's way, with ids of its own; `files` are its attachments.
///
/// # Errors
/// [`Error::BadRequest`] if the dialect cannot say it.
pub(crate) fn request(
    endpoint: &Endpoint,
    chat: &Chat,
    files: &[Uploaded],
) -> Result<Outgoing, Error> {
    match endpoint.dialect {
        Dialect::ZaiWeb => zai_web::request(endpoint, chat, files),
        Dialect::OpenAi => openai::request(chat),
    }
}

/// What a refusal means in this dialect alone; None leaves it to its code and status.
pub(crate) fn refusal(refusal: &Refusal<'_>) -> Option<Error> {
    match refusal.dialect {
        Dialect::ZaiWeb => zai_web::refusal(refusal),
        Dialect::OpenAi => None,
    }
}

/// What a web page with status 200 means: a firewall, or a URL that is not the API's.
pub(crate) fn page(dialect: Dialect) -> Error {
    match dialect {
        Dialect::ZaiWeb => zai_web::page(),
        Dialect::OpenAi => Error::NotAStream { found: Found::Html },
    }
}

/// Whether an answer that stops after an end mark, a finish reason, or both, is whole.
pub(crate) fn is_whole(dialect: Dialect, end_mark: bool, finish: bool) -> bool {
    match dialect {
        Dialect::ZaiWeb => end_mark || finish,
        Dialect::OpenAi => end_mark && finish,
    }
}
