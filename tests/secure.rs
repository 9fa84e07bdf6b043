//! TLS and HTTP/2, both off unless they are asked for. The clients are hyper's and rustls'.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use z2api_config::{Config, Flags};
use z2api_tests::web::{END, PIECE, endless, fine, stuck};
use z2api_tests::{Certificate, Gateway, KEY, LONG, PATIENCE, Raw, chat_request, pass_long};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

fn question(version: Version, stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"GLM-4.5","stream":{stream},"messages":[{{"role":"user","content":"x"}}]}}"#
    );
    let request = Request::post("https://localhost/v1/chat/completions")
        .version(version)
        .header("authorization", format!("Bearer {KEY}"));
    let request =
        if version == Version::HTTP_11 { request.header("host", "localhost") } else { request };
    request.body(Full::new(Bytes::from(body))).unwrap()
}

type Http2 = http2::SendRequest<Full<Bytes>>;

async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http2 {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // Soon full, where it is not read.
    builder.initial_stream_window_size(65_535);
    let (client, connection) = builder.handshake(TokioIo::new(io)).await.expect("HTTP/2");
    tokio::spawn(connection);
    client
}

async fn http1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> http1::SendRequest<Full<Bytes>> {
    let (client, connection) = http1::handshake(TokioIo::new(io)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    client
}

async fn text(response: Response<Incoming>) -> String {
    let body = timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
    String::from_utf8(body.expect("a whole body").to_bytes().to_vec()).unwrap()
}

fn spoken(stream: &TlsStream<TcpStream>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

#[tokio::test]
async fn with_a_certificate_the_gateway_speaks_tls_and_nothing_else() {
    let certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[]).await;
    let stream = certificate.connect(gateway.address, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(spoken(&stream), Some(&b"http/1.1"[..]), "HTTP/2 is off");
    let mut client = http1(stream).await;
    for _ in 0..2 {
        let response = client.send_request(question(Version::HTTP_11, true)).await.unwrap();
        assert!(text(response).await.ends_with("data: [DONE]\n\n"));
    }
    let mut plain = Raw::connect(gateway.address).await;
    plain.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let got = plain.to_the_end().await;
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
}

#[test]
fn a_key_of_another_certificate_is_a_bad_setting() {
    let (one, other) = (Certificate::make(), Certificate::make());
    let load = |key: &Certificate| {
        let (cert, key) = (one.file("cert.pem"), key.file("key.pem"));
        Config::from_lookup(&Flags::default(), &|name| match name {
            "TLS_CERT_FILE" => Some(cert.clone().into()),
            "TLS_KEY_FILE" => Some(key.clone().into()),
            _ => None,
        })
    };
    let config = load(&one).unwrap();
    assert_eq!(config.watched_files().count(), 2, "a renewal is seen by itself");
    let problems = load(&other).unwrap_err();
    assert_eq!(problems.0[0].variable, "TLS_KEY_FILE");
}

#[tokio::test]
async fn http2_is_agreed_on_where_it_is_on() {
    let certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[("ENABLE_HTTP2", "true")]).await;
    let stream = certificate.connect(gateway.address, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(spoken(&stream), Some(&b"h2"[..]));
    let client = http2(stream).await;
    let asked = (0..20).map(|number| {
        let mut client = client.clone();
        async move {
            let question = question(Version::HTTP_2, number % 2 == 0);
            let response = client.send_request(question).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(text(response).await.contains("tide "));
        }
    });
    futures::future::join_all(asked).await;
    let stream = certificate.connect(gateway.address, &[]).await.unwrap();
    let response = http1(stream).await.send_request(question(Version::HTTP_11, false)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

#[tokio::test]
async fn http2_without_tls_is_for_those_who_begin_with_it() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("ENABLE_HTTP2", "true")]).await;
    let mut client = http2(TcpStream::connect(gateway.address).await.unwrap()).await;
    let response = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    assert!(text(response).await.ends_with("data: [DONE]\n\n"));
    let mut client = http1(TcpStream::connect(gateway.address).await.unwrap()).await;
    let response = client.send_request(question(Version::HTTP_11, true)).await.unwrap();
    assert!(text(response).await.ends_with("data: [DONE]\n\n"));
    let off = Gateway::start(Dialect::ZaiWeb, fine()).await;
    let mut client = http2(TcpStream::connect(off.address).await.unwrap()).await;
    assert!(client.send_request(question(Version::HTTP_2, true)).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_dropping_a_connection() {
    let mut certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[]).await;
    let before = certificate.connect(gateway.address, &[]).await.unwrap();
    certificate.renew();
    assert!(certificate.connect(gateway.address, &[]).await.is_err(), "it has the old one still");
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    gateway.reload(&[("TLS_CERT_FILE", &cert), ("TLS_KEY_FILE", &key)]);
    let after = certificate.connect(gateway.address, &[]).await.unwrap();
    for stream in [before, after] {
        let response = http1(stream).await.send_request(question(Version::HTTP_11, false)).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_the_deadline_of_a_head() {
    let certificate = Certificate::make();
    let gateway = certificate.gateway(fine(), &[]).await;
    for beginning in [&b""[..], &b"\x16\x03\x01\x02\x00\x01"[..]] {
        let mut peer = Raw::connect(gateway.address).await;
        peer.send(beginning).await;
        assert!(peer.is_let_go().await);
    }
}

#[tokio::test]
async fn a_goodbye_in_tls_lets_the_upstream_go_though_the_connection_below_stays_open() {
    let certificate = Certificate::make();
    let silent = Script::events([PIECE, PIECE]).stall_after(1);
    let gateway = certificate.gateway(silent, &[]).await;
    let mut stream = certificate.connect(gateway.address, &[]).await.unwrap();
    stream.write_all(chat_request(true, "").as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("tide") {
        timeout(PATIENCE, stream.read_buf(&mut got)).await.expect("a piece").unwrap();
    }
    let (tcp, tls) = stream.get_mut();
    tls.send_close_notify();
    let mut goodbye = Vec::new();
    tls.write_tls(&mut goodbye).unwrap();
    tcp.write_all(&goodbye).await.unwrap();
    assert!(gateway.sim.until(|sim| sim.open_streams() == 0, PATIENCE).await);
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

/// What has been encrypted has not left yet.
#[tokio::test]
async fn who_hangs_up_before_the_last_byte_has_hung_up() {
    let text = "z".repeat(6 * 1024 * 1024);
    let piece =
        json!({"type": "chat:completion", "data": {"delta_content": text, "phase": "answer"}});
    let plan = Script::events([piece.to_string().as_str(), END]);
    for stream in [true, false] {
        let certificate = Certificate::make();
        let gateway = certificate.gateway(plan.clone(), &[]).await;
        let mut client = certificate.connect(gateway.address, &["http/1.1"]).await.unwrap();
        client.write_all(chat_request(stream, "").as_bytes()).await.unwrap();
        gateway.until(|gateway| gateway.sim.chat_requests() == 1).await;
        gateway.until(|gateway| gateway.sim.open_streams() == 0).await;
        assert_eq!(gateway.in_flight(), 1);
        drop(client);
        let line = gateway.lines("response", 1).await.remove(0);
        assert_eq!(line["status_code"], 499, "{line}");
        gateway.until(|gateway| gateway.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn a_stream_of_many_that_is_reset_gives_its_slot_back() {
    let stuck = stuck();
    let gateway = Gateway::with(Dialect::ZaiWeb, stuck, &[("ENABLE_HTTP2", "true")]).await;
    let mut client = http2(TcpStream::connect(gateway.address).await.unwrap()).await;
    let one = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    let other = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    assert_eq!(gateway.in_flight(), 2);
    drop(one);
    gateway.until(|gateway| gateway.in_flight() == 1).await;
    assert!(gateway.sim.until(|sim| sim.open_streams() == 1, PATIENCE).await);
    drop((other, client));
    gateway.until(|gateway| gateway.in_flight() == 0).await;
}

/// The connection is not stuck, but its stream is: the client grants it nothing more.
#[tokio::test]
async fn a_stream_that_is_granted_nothing_does_not_hold_its_slot_for_ever() {
    let endless = endless();
    let variables = [("ENABLE_HTTP2", "true"), ("MAX_CONNECTION_TIME", LONG)];
    let gateway = Gateway::with(Dialect::ZaiWeb, endless, &variables).await;
    let mut client = http2(TcpStream::connect(gateway.address).await.unwrap()).await;
    let unread = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    assert_eq!(gateway.in_flight(), 1);
    pass_long().await;
    gateway.until(|gateway| gateway.in_flight() == 0).await;
    drop(unread);
}

/// A stream that its client does not read gives back its slot, and its neighbour goes on. What its
/// client finds later is a broken stream, not the end of one.
#[tokio::test]
async fn a_stream_of_many_that_is_not_read_is_let_go_of() {
    // It pauses, or two streams that never do would keep a busy machine from looking at its clocks.
    let piece = json!({"type": "chat:completion",
        "data": {"delta_content": "tide ".repeat(3000), "phase": "answer"}});
    let endless = Script::events([piece.to_string()]).pace(Duration::from_millis(10)).endless();
    let variables = [("ENABLE_HTTP2", "true"), ("CLIENT_STALL_TIMEOUT", "1000")];
    let gateway = Gateway::with(Dialect::ZaiWeb, endless, &variables).await;
    let mut client = http2(TcpStream::connect(gateway.address).await.unwrap()).await;
    let unread = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    let mut read = client.send_request(question(Version::HTTP_2, true)).await.unwrap().into_body();
    let until_one_is_left = async {
        while gateway.in_flight() == 2 {
            read.frame().await.expect("a frame").expect("a stream that goes on");
        }
    };
    timeout(PATIENCE, until_one_is_left).await.expect("the slot of the one that is not read");
    assert_eq!(gateway.in_flight(), 1);
    let line = gateway.lines("response", 1).await.remove(0);
    assert_eq!(
        (&line["status_code"], &line["error_kind"]),
        (&json!(499), &json!("client_stalled"))
    );
    assert!(gateway.sim.until(|sim| sim.open_streams() == 1, PATIENCE).await);
    read.frame().await.expect("a frame").expect("a stream that still goes on");
    let rest = timeout(PATIENCE, unread.into_body().collect()).await.expect("an end");
    assert!(rest.is_err(), "what is cut off must not look whole");
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / http://a`, by the static table (RFC 7541).
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// Sends the flood until the gateway hangs up.
async fn ends_the_flood(gateway: &Gateway, flood: impl Fn(u32) -> Vec<u8>) {
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(PREFACE).await;
    peer.send(frame(4, 0, 0, &[])).await;
    let (mut reader, mut writer) = peer.socket.into_split();
    let floods = async {
        use tokio::io::AsyncWriteExt;
        for number in 0..200_000 {
            if writer.write_all(&flood(number)).await.is_err() {
                return;
            }
        }
        panic!("it was never refused");
    };
    let reads = async {
        use tokio::io::AsyncReadExt;
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await;
        // GOAWAY has type 7.
        assert!(all.windows(5).any(|part| part[0] == 7 && part[1] == 0), "no GOAWAY");
    };
    timeout(PATIENCE, async { tokio::join!(floods, reads) }).await.expect("an end");
    assert_eq!(gateway.get("/health").await.status, 200, "others go on");
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("ENABLE_HTTP2", "true")]).await;
    // In one write: a gateway that keeps up with them is not flooded.
    ends_the_flood(&gateway, |number| {
        let streams = (0..200).map(|each| 2 * (200 * number + each) + 1);
        let both = streams.map(|stream| {
            let head = frame(1, END_HEADERS | END_STREAM, stream, GET);
            [head, frame(3, 0, stream, &8u32.to_be_bytes())].concat()
        });
        both.collect::<Vec<_>>().concat()
    })
    .await;
}

#[tokio::test]
async fn a_head_without_an_end_ends_its_connection() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("ENABLE_HTTP2", "true")]).await;
    ends_the_flood(&gateway, |number| {
        if number == 0 { frame(1, END_STREAM, 1, GET) } else { frame(9, 0, 1, &[0; 1024]) }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_empty_data_ends_its_connection() {
    let gateway = Gateway::with(Dialect::ZaiWeb, fine(), &[("ENABLE_HTTP2", "true")]).await;
    // `POST /v1/chat/completions` with a key: a request whose body is waited for.
    let text = |start: &[u8], text: &str| [start, &[text.len() as u8], text.as_bytes()].concat();
    let head = [
        vec![0x83, 0x86, 0x41, 1, b'a'],
        text(&[0x04], "/v1/chat/completions"),
        text(&[0x0f, 0x08], &format!("Bearer {KEY}")),
    ];
    let head = frame(1, END_HEADERS, 1, &head.concat());
    ends_the_flood(&gateway, |number| {
        if number == 0 { head.clone() } else { frame(0, 0, 1, &[]).repeat(100) }
    })
    .await;
}

#[tokio::test]
async fn a_stop_says_so_and_lets_the_streams_of_a_connection_finish() {
    let paced = Script::events([PIECE, PIECE, PIECE, END]).pace(Duration::from_millis(100));
    let gateway = Gateway::with(Dialect::ZaiWeb, paced, &[("ENABLE_HTTP2", "true")]).await;
    let mut client = http2(TcpStream::connect(gateway.address).await.unwrap()).await;
    let running = client.send_request(question(Version::HTTP_2, true)).await.unwrap();
    gateway.stop();
    assert!(text(running).await.ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.ended().await, 0);
    assert!(client.send_request(question(Version::HTTP_2, true)).await.is_err());
}
