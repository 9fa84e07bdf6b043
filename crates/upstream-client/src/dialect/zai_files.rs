//! Images in the web chat: sent ahead as files of a user, then referred to by their ids.
//!
//! Facts from public clients of the web chat: `POST /api/v1/files/` takes one multipart field
//! `file` and answers with the file's record; guests may not send any.

use ::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use z2api_wire::chat::Chat;
use z2api_wire::openai::request::{Content, Message, Part};

use crate::dialect::{Attachment, Outgoing, Uploaded};
use crate::error::Error;

const OFFICIAL: &str = "the official API (api.z.ai/api/paas/v4, with an API key) takes them too";

/// The images of a chat, in order.
///
/// # Errors
/// [`Error::BadRequest`] for an image of a guest, one that is elsewhere, and other media.
pub(super) fn attachments(chat: &Chat, guest: bool) -> Result<Vec<Attachment>, Error> {
    let contents = chat.messages.iter().filter_map(|message| message.content.as_ref());
    let parts = contents.flat_map(|content| match content {
        Content::Text(_) => &[],
        Content::Parts(parts) => parts.as_slice(),
    });
    let mut found = Vec::new();
    for part in parts {
        match part {
            Part::Text { .. } | Part::Refusal { .. } => {}
            Part::VideoUrl { .. } | Part::FileUrl { .. } => {
                let message =
                    format!("the zai-web dialect takes images, no other media; {OFFICIAL}");
                return Err(Error::unsent(Some("unsupported_media"), message));
            }
            Part::ImageUrl { .. } if guest => {
                let message = format!(
                    "guests of the web chat may send no images: a user's token is needed, or {OFFICIAL}"
                );
                return Err(Error::unsent(Some("image_needs_user_token"), message));
            }
            Part::ImageUrl { image_url } => found.push(image(&image_url.url)?),
        }
    }
    Ok(found)
}

/// Decodes a `data:` URL (RFC 2397) that holds an image in Base64.
fn image(url: &str) -> Result<Attachment, Error> {
    let bad = |message: &str| Error::unsent(Some("invalid_image"), message);
    let Some(data) = url.strip_prefix("data:") else {
        let message = "the zai-web dialect takes images as data: URLs only: nothing is fetched from elsewhere";
        return Err(Error::unsent(Some("remote_image"), message));
    };
    let (kind, encoded) =
        data.split_once(";base64,").ok_or_else(|| bad("an image's data: URL must be in Base64"))?;
    let kind = kind.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let extension = kind.strip_prefix("image/").unwrap_or_default();
    if extension.is_empty() || !extension.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') {
        return Err(bad("a data: URL in an image part must be of type image/..."));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| bad("an image's Base64 is broken"))?;
    Ok(Attachment { name: format!("image.{extension}"), kind, bytes })
}

/// One file as a form.
pub(super) fn upload(attachment: &Attachment) -> Result<Outgoing, Error> {
    let boundary = Uuid::new_v4().simple().to_string();
    let Attachment { name, kind, bytes } = attachment;
    let mut body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: {kind}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let form = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    let headers = form.into_iter().map(|form| (CONTENT_TYPE, form)).collect::<HeaderMap>();
    Ok(Outgoing { headers, body })
}

/// Reads the record of a file; None if it has no id.
pub(super) fn uploaded(attachment: &Attachment, record: &[u8]) -> Option<Uploaded> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    let id = serde_json::from_slice::<Id>(record).ok()?.id;
    let record = serde_json::from_slice(record).ok()?;
    Some(Uploaded { id, record, name: attachment.name.clone(), size: attachment.bytes.len() })
}

/// A file as a chat refers to it.
#[derive(Serialize)]
pub(super) struct Reference<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    media: &'static str,
    file: &'a RawValue,
    id: &'a str,
    #[serde(rename = "itemId")]
    item_id: &'a str,
    url: String,
    name: &'a str,
    size: usize,
    status: &'static str,
    error: &'static str,
    ref_user_msg_id: &'a str,
}

pub(super) fn reference<'a>(file: &'a Uploaded, message_id: &'a str) -> Reference<'a> {
    Reference {
        kind: "image",
        media: "image",
        file: &file.record,
        id: &file.id,
        item_id: &file.id,
        url: format!("/api/v1/files/{}/content", file.id),
        name: &file.name,
        size: file.size,
        status: "uploaded",
        error: "",
        ref_user_msg_id: message_id,
    }
}

/// The messages with the files' ids in place of the images.
pub(super) fn refer(messages: &[Message], files: &[Uploaded]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    let mut ids = files.iter().map(|file| &file.id);
    for message in &mut messages {
        let Some(Content::Parts(parts)) = &mut message.content else { continue };
        for part in parts {
            if let Part::ImageUrl { image_url } = part
                && let Some(id) = ids.next()
            {
                image_url.url.clone_from(id);
            }
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        image(url).err().unwrap().fault().unwrap().code.clone().unwrap()
    }

    #[test]
    fn an_image_is_decoded_from_its_data_url() {
        let image = image("data:image/PNG;base64,aGk=").ok().unwrap();
        assert_eq!((image.kind.as_str(), image.name.as_str()), ("image/png", "image.png"));
        assert_eq!(image.bytes, b"hi");
    }

    #[test]
    fn what_is_elsewhere_broken_or_no_image_is_refused() {
        assert_eq!(refused("https://host/a.png"), "remote_image");
        assert_eq!(refused("file:///etc/passwd"), "remote_image");
        for url in
            ["data:", "data:image/png,hi", "data:text/html;base64,aGk=", "data:image/png;base64,?"]
        {
            assert_eq!(refused(url), "invalid_image", "{url}");
        }
        assert_eq!(refused("data:image/a\"b;base64,aGk="), "invalid_image");
    }
}
