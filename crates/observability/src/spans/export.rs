//! Sends spans to a collector: OTLP as protobuf over HTTP, from the thread that gathers them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::TraceSettings;
use super::load::Load;

/// A collector says little. More than this is not read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Who sends the spans.
const AGENT: &str = concat!("z2api/", env!("CARGO_PKG_VERSION"));
/// How long the first repetition waits; the next ones twice as long each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A collector, and all that it takes to talk to it: no thread of the gateway's does.
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
    /// For a batch, with all its repetitions.
    patience: Duration,
    resource: ResourceAttributesWithSchema,
    load: Arc<Load>,
    runtime: Runtime,
}

/// Why a batch was not taken; words from a fixed list, nothing that the collector said.
enum Trouble {
    /// It may go better later, perhaps after the time that the collector named.
    ForNow(String, Option<Duration>),
    ForGood(String),
}

impl Collector {
    pub(super) fn new(
        settings: &TraceSettings,
        resource: &Resource,
        load: Arc<Load>,
    ) -> Result<Self, String> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| error.to_string())?
            .https_or_http()
            .enable_http1();
        let endpoint = settings.endpoint.parse().map_err(|_| "it is no URL".to_owned())?;
        let headers = headers(settings)?;
        // Last: it must not be dropped by a failure, within another runtime.
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector.build()),
            endpoint,
            headers,
            patience: settings.timeout,
            resource: resource.into(),
            load,
            runtime: runtime.map_err(|error| error.to_string())?,
        })
    }

    /// Repeats until the collector has taken it, or will not. How many spans it rejected.
    async fn send(&self, body: Bytes) -> Result<u64, String> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.send_once(body.clone()).await {
                Ok(rejected) => return Ok(rejected),
                Err(Trouble::ForGood(why)) => return Err(why),
                Err(Trouble::ForNow(why, told)) => {
                    self.load.troubled(&why);
                    sleep(told.unwrap_or_default().max(wait)).await;
                    wait *= 2;
                }
            }
        }
    }

    async fn send_once(&self, body: Bytes) -> Result<u64, Trouble> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let sent = self.client.request(request).await;
        let response = sent.map_err(|_| Trouble::ForNow("it cannot be reached".into(), None))?;
        match response.status().as_u16() {
            200..=299 => rejected(response).await,
            status @ (429 | 502 | 503 | 504) => {
                Err(Trouble::ForNow(format!("it answers {status}"), told_wait(&response)))
            }
            status => Err(Trouble::ForGood(format!("it answers {status}"))),
        }
    }
}

/// How many spans the collector did not take, though it took the others.
async fn rejected(response: Response<Incoming>) -> Result<u64, Trouble> {
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|_| Trouble::ForNow("its answer breaks off".into(), None))?.to_bytes();
    // What is no protobuf says nothing of a rejection: the status alone has told.
    let told = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let rejected = told.partial_success.map_or(0, |partial| partial.rejected_spans);
    Ok(u64::try_from(rejected).unwrap_or(0))
}

fn told_wait(response: &Response<Incoming>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.load.taken(count);
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        // The thread that waits here waits for nothing else.
        let sending = async { timeout(self.patience, self.send(Bytes::from(body))).await };
        let outcome = match self.runtime.block_on(sending) {
            Ok(outcome) => outcome,
            Err(_) => Err("it takes too long".to_owned()),
        };
        match outcome {
            Ok(rejected) => {
                self.load.sent(count, rejected);
                Ok(())
            }
            Err(why) => {
                self.load.lost(count, &why);
                Err(OTelSdkError::InternalFailure(why))
            }
        }
    }
}

fn headers(settings: &TraceSettings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    // The settings may name another.
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &settings.headers.0 {
        let name = name.parse::<HeaderName>().map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(headers)
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}
