//! Names the request, opens its record, and finds who answers it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{ALLOW, HeaderValue, ORIGIN};
use http::{Method, Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use z2api_observability::{RequestId, RequestRecord};

use crate::app::App;
use crate::body::{Response, empty};
use crate::cors::Cors;
use crate::error::ApiError;
use crate::{chat, info};

/// What a path stands for.
enum Route<'a> {
    Chat,
    Models,
    Model(&'a str),
    Health,
    Status,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/chat/completions" => Self::Chat,
            "/v1/models" => Self::Models,
            "/health" => Self::Health,
            "/status" => Self::Status,
            _ => Self::Model(path.strip_prefix("/v1/models/").filter(|id| !id.is_empty())?),
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Chat => "POST, OPTIONS",
            Self::Models | Self::Model(_) | Self::Health | Self::Status => "GET, HEAD, OPTIONS",
        }
    }
}

/// Answers one request.
pub(crate) async fn handle(
    app: Arc<App>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let id = given.and_then(RequestId::accept).unwrap_or_else(RequestId::random);
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = route(&app, peer, id.clone(), request).await;
    let headers = response.headers_mut();
    app.cors.apply(origin.as_ref(), headers);
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert("x-request-id", id);
    }
    response
}

async fn route(
    app: &Arc<App>,
    peer: SocketAddr,
    id: RequestId,
    request: Request<Incoming>,
) -> Response {
    let path = request.uri().path().to_owned();
    let endpoint: String = path.chars().take(200).collect();
    let log = app.log_requests.then(|| app.log.clone());
    let record = RequestRecord::open(
        log,
        app.counters.clone(),
        id,
        request.method().as_str(),
        &endpoint,
        peer.ip(),
    );
    let Some(route) = Route::of(&path) else {
        return refuse(record, &ApiError::unknown_path(&path));
    };
    let methods = route.methods();
    match (request.method(), route) {
        (&Method::OPTIONS, _) => whole(record, preflight(methods, &request)),
        (&Method::POST, Route::Chat) => chat::complete(app, request, record).await,
        (&Method::GET | &Method::HEAD, Route::Health) => whole(record, info::health(app)),
        (&Method::GET | &Method::HEAD, Route::Status) => whole(record, info::status(app)),
        (&Method::GET | &Method::HEAD, Route::Models) => match app.keys.check(request.headers()) {
            Ok(_) => whole(record, info::models(app)),
            Err(error) => refuse(record, &error),
        },
        (&Method::GET | &Method::HEAD, Route::Model(name)) => {
            let found = app.keys.check(request.headers()).and_then(|_| info::model(app, name));
            match found {
                Ok(response) => whole(record, response),
                Err(error) => refuse(record, &error),
            }
        }
        (_, Route::Chat | Route::Models | Route::Model(_) | Route::Health | Route::Status) => {
            let mut response = refuse(record, &ApiError::wrong_method(methods));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            response
        }
    }
}

fn preflight(methods: &'static str, request: &Request<Incoming>) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    Cors::preflight(methods, request.headers(), response.headers_mut());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Answers with an error, and closes the record with it.
pub(crate) fn refuse(mut record: RequestRecord, error: &ApiError) -> Response {
    record.fail(error.status.as_u16(), error.log_text());
    let response = error.response();
    record.bytes(response.body().size_hint().lower());
    response
}

/// A short answer, complete in memory.
fn whole(mut record: RequestRecord, response: Response) -> Response {
    record.status(response.status().as_u16());
    record.bytes(response.body().size_hint().lower());
    record.whole();
    response
}
