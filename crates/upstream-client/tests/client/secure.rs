//! An upstream behind TLS that speaks HTTP/2 or HTTP/1.1, as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::{BoxStream, iter, pending, repeat};
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use z2api_upstream_client::{Client, Settings};

use crate::support::{API_FINISH, api_text, framed, settings_for};

/// What one request is answered.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    /// A whole answer.
    Fine,
    /// One event, and then nothing.
    Begun,
    /// Events without end, as fast as they are taken.
    Flood,
}

/// How it speaks.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) protocols: Vec<&'static str>,
    /// How many streams a connection takes.
    pub(crate) streams: u32,
    pub(crate) certificate: CertificateParams,
}

impl Default for Manner {
    fn default() -> Self {
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        Self { protocols: vec!["h2", "http/1.1"], streams: 100, certificate }
    }
}

type Plan = dyn Fn(usize) -> Reply + Send + Sync;

/// Stops with the test.
pub(crate) struct Secure {
    address: SocketAddr,
    /// What to trust to trust it, in PEM.
    pub(crate) root: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    plan: Box<Plan>,
    manner: Manner,
    connections: AtomicUsize,
    versions: Mutex<Vec<Version>>,
    open: Arc<AtomicUsize>,
    goodbye: Notify,
    cut: Notify,
}

impl Secure {
    /// Starts one; the plan gets the number of the request, counted from 0.
    pub(crate) async fn start(
        manner: Manner,
        plan: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = manner.certificate.self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = manner.protocols.iter().map(|name| name.as_bytes().into()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            manner,
            connections: AtomicUsize::new(0),
            versions: Mutex::default(),
            open: Arc::default(),
            goodbye: Notify::new(),
            cut: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&shared)));
        Self { address, root: certificate.pem(), shared, _tasks: tasks }
    }

    /// Settings for it.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = settings_for(&format!("https://{}/v1/chat/completions", self.address));
        settings.retry.retries = 0;
        settings.extra_roots = Some(self.root.clone());
        settings
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.settings()).unwrap()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many answers are going on.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The protocol of each request.
    pub(crate) fn versions(&self) -> Vec<Version> {
        self.shared.versions.lock().unwrap().clone()
    }

    /// All connections take no more requests, and close after their last one.
    pub(crate) fn say_goodbye(&self) {
        self.shared.goodbye.notify_waiters();
    }

    /// All connections are cut.
    pub(crate) fn cut(&self) {
        self.shared.cut.notify_waiters();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tasks.spawn(async move {
            let (cut, serving) = (shared.cut.notified(), serve(socket, tls, &shared));
            select(pin!(cut), pin!(serving)).await;
        });
    }
}

/// However it ends, the client tells about it.
async fn serve(socket: TcpStream, tls: TlsAcceptor, shared: &Arc<Shared>) {
    let Ok(tls) = tls.accept(socket).await else { return };
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(tls);
    let answer = service_fn(|request| std::future::ready(answer(&request, shared)));
    if !is_http2 {
        let _end = http1::Builder::new().serve_connection(io, answer).await;
        return;
    }
    let serving = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(shared.manner.streams)
        .serve_connection(io, answer);
    let mut serving = pin!(serving);
    let goodbye = pin!(shared.goodbye.notified());
    if let Either::Right(_) = select(serving.as_mut(), goodbye).await {
        serving.as_mut().graceful_shutdown();
        let _end = serving.await;
    }
}

type Writes = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn answer(request: &Request<Incoming>, shared: &Shared) -> Result<Response<Writes>, Infallible> {
    let mut versions = shared.versions.lock().unwrap();
    versions.push(request.version());
    let begun = || framed(&[&api_text("fine")]);
    let writes = match (shared.plan)(versions.len() - 1) {
        Reply::Fine => iter([begun(), framed(&[API_FINISH, "[DONE]"])]).boxed(),
        Reply::Begun => iter([begun()]).chain(pending()).boxed(),
        Reply::Flood => repeat(framed(&[&api_text(&"x".repeat(8000))])).boxed(),
    };
    let going_on = GoingOn::new(&shared.open);
    let frames = writes.map(move |text| {
        let _held = &going_on;
        Ok(Frame::data(Bytes::from(text)))
    });
    let answer = Response::builder().header("content-type", "text/event-stream");
    Ok(answer.body(StreamBody::new(frames.boxed())).unwrap())
}

/// Counts an answer until it is dropped.
struct GoingOn(Arc<AtomicUsize>);

impl GoingOn {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
