//! A small collector of traces, and ways to look at what it heard.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use z2api_tests::Gateway;

/// Takes spans as a collector does.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
pub(crate) struct Heard {
    /// Path, content type, user agent, and the header `x-team`.
    pub(crate) heads: Vec<[String; 4]>,
    /// What is told of the service, and its spans.
    pub(crate) spans: Vec<(Vec<KeyValue>, Span)>,
    pub(crate) raw: Vec<u8>,
    /// Statuses to answer with before it takes anything.
    pub(crate) refusals: Vec<u16>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::refusing(&[]).await
    }

    /// One that answers so at first.
    pub(crate) async fn refusing(refusals: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals = refusals.to_vec();
        let heard = Arc::new(Mutex::new(Heard { refusals, ..Heard::default() }));
        let for_all = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = for_all.clone();
                let service = service_fn(move |request| hear(heard.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, heard }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of a gateway that stops: by then they have all been sent.
    pub(crate) async fn spans_of(&self, gateway: Gateway) -> Vec<Span> {
        gateway.stop();
        gateway.stopped().await;
        self.heard.lock().unwrap().spans.iter().map(|(_, span)| span.clone()).collect()
    }
}

async fn hear(
    heard: Arc<Mutex<Heard>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let [kind, agent, team] = ["content-type", "user-agent", "x-team"].map(header);
    let head = [request.uri().path().to_owned(), kind, agent, team];
    let body = request.into_body().collect().await?.to_bytes();
    let told = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
    let mut heard = heard.lock().unwrap();
    heard.heads.push(head);
    if let Some(status) = heard.refusals.pop() {
        // At once, it says: nobody is to believe that.
        let refusal = Response::builder().status(status).header("retry-after", "0");
        return Ok(refusal.body(Full::default()).unwrap());
    }
    heard.raw.extend_from_slice(&body);
    for of_service in told.resource_spans {
        let resource = of_service.resource.expect("a resource");
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        heard.spans.extend(spans.map(|span| (resource.attributes.clone(), span)));
    }
    Ok(Response::new(Full::default()))
}

/// An attribute's value as text.
fn text(value: Any) -> Option<String> {
    Some(match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        Any::BoolValue(flag) => flag.to_string(),
        Any::DoubleValue(number) => number.to_string(),
        Any::ArrayValue(all) => {
            let all = all.values.into_iter().filter_map(|one| text(one.value?));
            all.collect::<Vec<_>>().join(",")
        }
        _other => return None,
    })
}

pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let one = attributes.iter().find(|one| one.key == name)?;
    text(one.value.clone()?.value?)
}

pub(crate) fn check(span: &Span, wanted: &[(&str, &str)]) {
    check_all(&span.attributes, wanted);
}

pub(crate) fn check_all(attributes: &[KeyValue], wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        let found = attribute(attributes, name);
        assert_eq!(found.as_deref(), Some(*value), "{name} of {attributes:?}");
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
