//! The live page: its files, which anyone may have, and its numbers, which may need a key. A browser
//! that opens a page shows no key, so something open must ask for it; the files hold no secret.

mod files;
mod paces;
mod past;
mod snapshot;
mod watcher;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use z2api_observability::RequestRecord;

use crate::app::App;
use crate::body::{Body, Response, empty};
use crate::connection::RESERVE;
use crate::error::ApiError;
use crate::live::Live;
use crate::operator::check_operator;
use crate::service::{refuse, whole};
use crate::shape::Shape;
use files::File;
use watcher::Watcher;

pub(crate) use paces::Paces;
pub(crate) use past::{Past, keep_past};

/// How many may watch at once. More are refused: each costs a little every second.
pub(crate) const MAX_WATCHERS: usize = 16;
/// They may watch from the reserve too, which others must find free.
const _: () = assert!(MAX_WATCHERS <= RESERVE / 4);

/// For every answer of the page. Its scripts and styles are its own files, it talks to nobody but
/// this gateway, and nothing can frame it.
const GUARDS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// What of the page a path stands for.
#[derive(Clone, Copy)]
pub(crate) enum Page {
    /// A file of it.
    File(&'static File),
    /// The page with a slash at its end, where its links would lead nowhere.
    Slashed,
    /// The numbers, as server-sent events.
    Events,
}

impl Page {
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/dashboard")? {
            "/" => Some(Self::Slashed),
            "/events" => Some(Self::Events),
            rest => File::of(rest).map(Self::File),
        }
    }

    /// `GET /dashboard` and what is below it.
    pub(crate) fn answer(
        self,
        app: &Arc<App>,
        live: &Live,
        peer: IpAddr,
        headers: &HeaderMap,
        record: Box<RequestRecord>,
    ) -> Response {
        if !live.dashboard {
            return refuse(record, &ApiError::unknown_path("/dashboard"), Shape::OpenAi);
        }
        let mut response = match self {
            Self::File(file) => whole(record, send(file, headers)),
            Self::Slashed => whole(record, moved()),
            Self::Events => events(app, live, peer, headers, record),
        };
        for (name, value) in GUARDS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A new version of the gateway has a new page, at the same place: a browser asks each time, and is
/// sent what it does not have.
fn send(file: &'static File, asked: &HeaderMap) -> Response {
    let tag = file.tag();
    let mut response = if has(asked, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::new(Body::bytes(file.text))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("quoted digits"));
    response
}

/// Whether the client has the file of this tag. A proxy that compresses makes its tag a weak one.
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let told = asked.get_all(header::IF_NONE_MATCH).iter();
    told.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// Relative, for a proxy may have put the gateway below a path of its own.
fn moved() -> Response {
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("../dashboard"));
    response
}

fn events(
    app: &Arc<App>,
    live: &Live,
    peer: IpAddr,
    headers: &HeaderMap,
    record: Box<RequestRecord>,
) -> Response {
    if let Err(error) = check_operator(live, peer, headers) {
        return refuse(record, &error, Shape::OpenAi);
    }
    let Ok(place) = app.watchers.clone().try_acquire_owned() else {
        return refuse(record, &ApiError::too_many_watchers(), Shape::OpenAi);
    };
    let watcher = Watcher::new(app, live, place, record);
    let mut response = Response::new(Body::Stream(Box::new(watcher)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
