//! Names the request, opens its record, and finds who answers it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::header::{ALLOW, CONNECTION, HeaderValue, ORIGIN, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use ipnet::IpNet;
use z2api_observability::{RequestId, RequestRecord};

use crate::api::{
    ChatCompletions, Messages, Responses, TextCompletions, count_tokens, forget, kept,
};
use crate::app::App;
use crate::body::{Response, empty};
use crate::connection::{Entrance, Peer, Standing, check_request};
use crate::cors::Cors;
use crate::error::ApiError;
use crate::faults::Fault;
use crate::live::Live;
use crate::panics::caught;
use crate::route::Route;
use crate::shape::Shape;
use crate::{chat, info};

/// Answers one request.
pub(crate) async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Response {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let id = given.and_then(RequestId::accept).unwrap_or_else(RequestId::random);
    let origin = request.headers().get(ORIGIN).cloned();
    let shape = Shape::of(&request);
    let (began, live) = (Instant::now(), app.live());
    let record = open(&app, &live, &peer, id.clone(), &request);
    let tries = record.tries();
    let told = |error: &ApiError| shape.body(error, &id);
    let mut response = caught(answer(&app, &peer, shape, live, request, record), told).await;
    let headers = response.headers_mut();
    sign(&app.live(), origin.as_ref(), &id, &tries.server_timing(began), headers);
    if shape == Shape::Anthropic
        && let Some(id) = headers.get("x-request-id").cloned()
    {
        // The name that Anthropic's clients read.
        headers.insert("request-id", id);
    }
    response
}

/// Adds what every answer has.
pub(crate) fn sign(
    live: &Live,
    origin: Option<&HeaderValue>,
    id: &RequestId,
    timing: &str,
    headers: &mut HeaderMap,
) {
    live.cors.apply(origin, headers);
    for (name, value) in [("x-request-id", id.as_str()), ("server-timing", timing)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

fn open(
    app: &App,
    live: &Live,
    peer: &Peer,
    id: RequestId,
    request: &Request<Incoming>,
) -> Box<RequestRecord> {
    let endpoint: String = request.uri().path().chars().take(200).collect();
    let mut record = RequestRecord::open(
        live.log.requests.then(|| app.log.clone()),
        app.counters.clone(),
        id,
        request.method().as_str(),
        &endpoint,
        client_ip(peer.ip(), request.headers(), &live.trusted_proxies),
    );
    record.agent(user_agent(request.headers()));
    record
}

async fn answer(
    app: &Arc<App>,
    peer: &Peer,
    shape: Shape,
    live: Arc<Live>,
    request: Request<Incoming>,
    mut record: Box<RequestRecord>,
) -> Response {
    Fault::wanted(request.headers()).in_route();
    let path = request.uri().path().to_owned();
    if let Err(error) = check_request(&request) {
        let mut response = refuse(record, &error, shape);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let Some(route) = Route::of(&path) else {
        return refuse(record, &ApiError::unknown_path(&path), shape);
    };
    if app.admin_apart && peer.entrance == Entrance::Public && route.is_for_operator() {
        return refuse(record, &ApiError::unknown_path(&path), shape);
    }
    record.route(route.name());
    if route.is_probe() && !live.log.probes {
        record.quiet();
    }
    let post = *request.method() == Method::POST;
    if post && route.is_chat() {
        record.counted();
    }
    if peer.standing == Standing::Crowded && !route.is_about_us() {
        let error = if app.memory.is_short() {
            ApiError::out_of_memory()
        } else {
            ApiError::too_many_connections()
        };
        return refuse(record, &error, shape);
    }
    let methods = route.methods();
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    match route {
        _ if request.method() == Method::OPTIONS => whole(record, preflight(methods, &request)),
        Route::Chat if post => chat::complete::<ChatCompletions>(app, live, request, record).await,
        Route::Text if post => chat::complete::<TextCompletions>(app, live, request, record).await,
        Route::Responses if post => chat::complete::<Responses>(app, live, request, record).await,
        Route::Response(id) if get => {
            let kept = kept(&live, &app.responses, &request, id, &mut record);
            either(record, shape, kept)
        }
        Route::Response(id) if request.method() == Method::DELETE => {
            let forgotten = forget(&live, &app.responses, request.headers(), id, &mut record);
            either(record, shape, forgotten)
        }
        Route::Messages if post => chat::complete::<Messages>(app, live, request, record).await,
        Route::CountTokens if post => match count_tokens(app, &live, request, &mut record).await {
            Ok(response) => whole(record, response),
            Err(error) => refuse(record, &error, shape),
        },
        Route::Health if get => whole(record, info::health(app, &live)),
        Route::Live if get => whole(record, info::alive()),
        Route::Ready if get => {
            let response = info::ready(app, &mut record);
            whole(record, response)
        }
        Route::Status if get => {
            either(record, shape, info::status(app, &live, peer.ip(), request.headers()))
        }
        Route::Metrics if get => {
            let scrape = info::metrics(app, &live, peer.ip(), request.headers()).await;
            either(record, shape, scrape)
        }
        Route::Dashboard(page) if get => {
            page.answer(app, &live, peer.ip(), request.headers(), record)
        }
        Route::Models if get => {
            let models = info::models(&live, request.headers(), shape, &mut record);
            either(record, shape, models)
        }
        Route::Model(name) if get => {
            let model = info::model(&live, request.headers(), shape, name, &mut record);
            either(record, shape, model)
        }
        Route::NotOffered(what) => refuse(record, &ApiError::not_offered(what), shape),
        Route::Chat
        | Route::Text
        | Route::Messages
        | Route::CountTokens
        | Route::Responses
        | Route::Response(_)
        | Route::Models
        | Route::Model(_)
        | Route::Health
        | Route::Live
        | Route::Ready
        | Route::Status
        | Route::Metrics
        | Route::Dashboard(_) => {
            let mut response = refuse(record, &ApiError::wrong_method(methods), shape);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            response
        }
    }
}

/// What the client calls itself, for the log.
fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(agent).chars().take(200).collect()
}

/// The client's address for the log: the peer's, unless the peer is a proxy whose word is taken.
/// Then it is the nearest address in `X-Forwarded-For` that is no such proxy. Some proxies add a port,
/// or show IPv4 addresses within IPv6.
fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        let with_port = || hop.parse().map(|address: SocketAddr| address.ip());
        let Ok(address) = hop.parse().or_else(|_| with_port()) else { break };
        let address = IpAddr::to_canonical(&address);
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client
}

fn either(
    record: Box<RequestRecord>,
    shape: Shape,
    outcome: Result<Response, ApiError>,
) -> Response {
    match outcome {
        Ok(response) => whole(record, response),
        Err(error) => refuse(record, &error, shape),
    }
}

fn preflight(methods: &'static str, request: &Request<Incoming>) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    Cors::preflight(methods, request.headers(), response.headers_mut());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Answers with an error, and closes the record with it.
pub(crate) fn refuse(mut record: Box<RequestRecord>, error: &ApiError, shape: Shape) -> Response {
    record.fail(error.failure());
    let response = error.response(shape.body(error, record.id()));
    record.bytes(response.body().size_hint().lower());
    response
}

/// A short answer, complete in memory.
pub(crate) fn whole(mut record: Box<RequestRecord>, response: Response) -> Response {
    record.status(response.status().as_u16());
    record.bytes(response.body().size_hint().lower());
    record.whole();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2".parse().unwrap());
        let trusted = ["10.0.0.1/32".parse().unwrap(), "10.0.0.2/31".parse().unwrap()];
        assert_eq!(client_ip(ip("9.9.9.9"), &headers, &trusted), ip("9.9.9.9"));
        assert_eq!(client_ip(ip("10.0.0.1"), &headers, &trusted), ip("1.2.3.4"));
        assert_eq!(client_ip(ip("10.0.0.1"), &HeaderMap::new(), &trusted), ip("10.0.0.1"));
        headers.insert("x-forwarded-for", "junk, 10.0.0.2".parse().unwrap());
        assert_eq!(client_ip(ip("10.0.0.1"), &headers, &trusted), ip("10.0.0.2"));
    }

    #[test]
    fn an_address_within_ipv6_or_with_a_port_is_the_same_address() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (hops, client) in [
            ("1.2.3.4:5678", "1.2.3.4"),
            ("1.2.3.4, ::ffff:10.0.0.2", "1.2.3.4"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            headers.insert("x-forwarded-for", hops.parse().unwrap());
            assert_eq!(client_ip(ip("10.0.0.1"), &headers, &trusted), ip(client), "{hops}");
        }
    }
}
