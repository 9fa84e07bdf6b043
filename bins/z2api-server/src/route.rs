//! What a path stands for, and the methods it takes.

use crate::dashboard::Page;

/// What a path stands for.
pub(crate) enum Route<'a> {
    Chat,
    Text,
    Messages,
    CountTokens,
    Responses,
    Response(&'a str),
    Models,
    Model(&'a str),
    Health,
    Live,
    Ready,
    Status,
    Metrics,
    Dashboard(Page),
    NotOffered(&'a str),
}

impl<'a> Route<'a> {
    /// The paths of APIs are served with and without the `/v1`.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        Some(match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => Self::Chat,
            "/completions" => Self::Text,
            "/messages" => Self::Messages,
            "/messages/count_tokens" => Self::CountTokens,
            "/responses" => Self::Responses,
            "/responses/input_tokens" => Self::NotOffered("responses/input_tokens"),
            "/responses/compact" => Self::NotOffered("responses/compact"),
            "/models" => Self::Models,
            _ if path.starts_with("/dashboard") => return Page::of(path).map(Self::Dashboard),
            api => match (path, one(api, "/models/"), one(api, "/responses/")) {
                ("/health", ..) => Self::Health,
                ("/health/live", ..) => Self::Live,
                ("/health/ready", ..) => Self::Ready,
                ("/status", ..) => Self::Status,
                ("/metrics", ..) => Self::Metrics,
                (_, Some(id), _) => Self::Model(id),
                (_, _, Some(id)) if !id.contains('/') => Self::Response(id),
                _ => Self::NotOffered(not_offered(api)?),
            },
        })
    }

    pub(crate) fn methods(&self) -> &'static str {
        match self {
            Self::Chat
            | Self::Text
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::NotOffered(_) => "POST, OPTIONS",
            Self::Response(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Models
            | Self::Model(_)
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::Status
            | Self::Metrics
            | Self::Dashboard(_) => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether a model answers there.
    pub(crate) fn is_chat(&self) -> bool {
        matches!(self, Self::Chat | Self::Text | Self::Messages | Self::Responses)
    }

    /// Whether it tells how the gateway is, and so is answered when nothing else is. The page as well,
    /// though one who watches keeps a place of the reserve: most want to see it then, and so many
    /// may watch that the greater part of the reserve stays free.
    pub(crate) fn is_about_us(&self) -> bool {
        matches!(
            self,
            Self::Health
                | Self::Live
                | Self::Ready
                | Self::Status
                | Self::Metrics
                | Self::Dashboard(_)
        )
    }

    /// Whether machines ask for it, again and again.
    pub(crate) fn is_probe(&self) -> bool {
        matches!(self, Self::Health | Self::Live | Self::Ready | Self::Metrics)
    }

    /// Whether it is the operator's alone, where those have an address of their own.
    pub(crate) fn is_for_operator(&self) -> bool {
        matches!(self, Self::Status | Self::Metrics | Self::Dashboard(_))
    }

    /// What the metrics call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Chat => "chat_completions",
            Self::Text => "completions",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Responses | Self::Response(_) => "responses",
            Self::Models | Self::Model(_) => "models",
            Self::Health | Self::Live | Self::Ready => "health",
            Self::Status => "status",
            Self::Metrics => "metrics",
            Self::Dashboard(_) => "dashboard",
            Self::NotOffered(_) => "unknown",
        }
    }
}

/// What OpenAI's API has and this gateway has not, by the first word of the path.
const NOT_OFFERED: [&str; 15] = [
    "assistants",
    "audio",
    "batches",
    "containers",
    "conversations",
    "embeddings",
    "evals",
    "files",
    "fine_tuning",
    "images",
    "moderations",
    "realtime",
    "threads",
    "uploads",
    "vector_stores",
];

/// The rest of a path after a prefix, if there is any.
fn one<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}

/// What of OpenAI's API, if any, a path without `/v1` belongs to.
fn not_offered(path: &str) -> Option<&str> {
    let first = path.strip_prefix('/')?.split('/').next()?;
    NOT_OFFERED.contains(&first).then_some(first)
}
