//! The turns of a conversation as clients send them.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Object;

/// One turn of the conversation.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. An assistant turn that only calls tools has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The speaker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The thinking of an earlier answer, given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The calls an assistant turn made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Box<RawValue>>,
    /// Which call a tool turn answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// An assistant turn that refused. Upstreams know no such field.
    #[serde(default, skip_serializing)]
    pub refusal: Option<String>,
    /// The call an assistant turn made, in OpenAI's oldest form. Upstreams know no such field.
    #[serde(default, skip_serializing)]
    pub function_call: Option<Box<RawValue>>,
    /// Sound of an earlier answer. Upstreams know no such field.
    #[serde(default, skip_serializing)]
    pub audio: Option<Box<RawValue>>,
}

impl Message {
    /// A turn that has nothing but content.
    pub fn new(role: Role, content: Option<Content>) -> Self {
        Self {
            role,
            content,
            name: None,
            reasoning_content: None,
            tool_calls: None,
            tool_call_id: None,
            refusal: None,
            function_call: None,
            audio: None,
        }
    }

    /// A user's turn of plain text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, Some(Content::Text(text.into())))
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in OpenAI's newer word.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The outcome of a tool call.
    Tool,
    /// The outcome of a function call, in OpenAI's oldest word.
    Function,
}

/// What is said: text, or parts.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts.
    Parts(Vec<Part>),
}

/// By hand, since serde's untagged enums lose the path of an error within and copy all text twice.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of parts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// A part of what is said.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "Object<Given>")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A refusal of an earlier answer.
    Refusal {
        /// Its words.
        refusal: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is: a URL, or a `data:` URL that holds it.
        image_url: ImageUrl,
    },
    /// A video, for upstream models that see.
    VideoUrl {
        /// Where it is.
        video_url: ImageUrl,
    },
    /// A file, for upstream models that read.
    FileUrl {
        /// Where it is.
        file_url: ImageUrl,
    },
}

/// A part as it stands in the request. serde's tagged enums lose the path of an error within.
#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type")]
    kind: Kind,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
    video_url: Option<ImageUrl>,
    file_url: Option<ImageUrl>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Refusal,
    ImageUrl,
    VideoUrl,
    FileUrl,
}

impl TryFrom<Object<Given>> for Part {
    /// In serde's words, which name the field.
    type Error = &'static str;

    fn try_from(Object(given): Object<Given>) -> Result<Self, &'static str> {
        Ok(match given.kind {
            Kind::Text => Self::Text { text: given.text.ok_or("missing field `text`")? },
            Kind::Refusal => {
                Self::Refusal { refusal: given.refusal.ok_or("missing field `refusal`")? }
            }
            Kind::ImageUrl => {
                Self::ImageUrl { image_url: given.image_url.ok_or("missing field `image_url`")? }
            }
            Kind::VideoUrl => {
                Self::VideoUrl { video_url: given.video_url.ok_or("missing field `video_url`")? }
            }
            Kind::FileUrl => {
                Self::FileUrl { file_url: given.file_url.ok_or("missing field `file_url`")? }
            }
        })
    }
}

/// Where an image is.
#[derive(Debug, Clone, Serialize)]
pub struct ImageUrl {
    /// A URL, or a `data:` URL that holds the image.
    pub url: String,
    /// How closely to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An object, or, as some clients write it, the URL alone.
impl<'de> Deserialize<'de> for ImageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            url: String,
            detail: Option<String>,
        }
        struct UrlVisitor;
        impl<'de> Visitor<'de> for UrlVisitor {
            type Value = ImageUrl;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a `url`")
            }
            fn visit_str<E>(self, url: &str) -> Result<ImageUrl, E> {
                Ok(ImageUrl { url: url.to_owned(), detail: None })
            }
            fn visit_string<E>(self, url: String) -> Result<ImageUrl, E> {
                Ok(ImageUrl { url, detail: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ImageUrl, A::Error> {
                let object = Object::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ImageUrl { url: object.url, detail: object.detail })
            }
        }
        deserializer.deserialize_any(UrlVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn check(message: &str, param: &str, says: &str) {
        let error = json::read::<Message>(message.as_bytes()).expect_err("a refusal");
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
        assert!(error.message.contains(says) && !error.message.contains("secret"), "{error}");
    }

    #[test]
    fn a_wrong_part_is_told_by_its_path() {
        let part = |part: &str| {
            format!(r#"{{"role":"user","content":[{{"type":"text","text":"a"}},{part}]}}"#)
        };
        check(&part(r#"{"type":"secret"}"#), "content[1].type", "must be one of `text`");
        check(&part(r#"{"type":"input_audio"}"#), "content[1].type", "must be one of `text`");
        check(&part(r#"{"type":"text"}"#), "content[1].text", "is missing");
        check(&part(r#"{"text":"secret"}"#), "content[1].type", "is missing");
        check(&part(r#"{"type":"text","text":"a","text":"b"}"#), "content[1].text", "given twice");
        check(&part(r#"{"type":"text","text":5}"#), "content[1].text", "must be a string");
        check(&part(r#"{"type":"image_url"}"#), "content[1].image_url", "is missing");
        check(
            &part(r#"{"type":"image_url","image_url":{}}"#),
            "content[1].image_url.url",
            "missing",
        );
        check(&part(r#"{"type":"image_url","image_url":5}"#), "content[1].image_url", "an object");
        check(&part("5"), "content[1]", "must be an object");
        check(&part(r#"["text","a"]"#), "content[1]", "must be an object");
        check(r#"{"role":"user","content":5}"#, "content", "must be a string or an array of parts");
        check(r#"{"role":"secret"}"#, "role", "must be one of `system`");
    }

    #[test]
    fn an_image_may_be_its_url_alone() {
        let message = r#"{"role":"user","content":[{"type":"image_url","image_url":"https://a"}]}"#;
        let message: Message = json::read(message.as_bytes()).unwrap();
        let written = serde_json::to_string(&message).unwrap();
        assert!(written.contains(r#"[{"type":"image_url","image_url":{"url":"https://a"}}]"#));
    }
}
