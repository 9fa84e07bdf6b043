//! A proxy: what it is told, and that nothing goes past it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use z2api_upstream_client::{Client, Secret, Settings, SettingsError};

use crate::support::{API_FINISH, TOKEN, api_text, ask, ask_whole, framed, settings_for};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads the head of a request.
async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Takes one request as a proxy and answers it so; gives its head.
async fn proxy_once(answer: String) -> (SocketAddr, JoinHandle<String>) {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let head = head(&mut socket).await;
        socket.write_all(answer.as_bytes()).await.unwrap();
        head
    });
    (address, serving)
}

fn through(proxy: &str, url: &str) -> Client {
    let mut settings = settings_for(url);
    settings.retry.retries = 0;
    settings.allow_http = true;
    settings.proxy = Some(Secret::new(proxy));
    Client::new(settings).unwrap()
}

#[tokio::test]
async fn a_plain_request_goes_through_the_proxy_under_its_full_name() {
    let body = framed(&[&api_text("fine"), API_FINISH, "[DONE]"]);
    let kind = "content-type: text/event-stream\r\nconnection: close";
    let (address, proxy) = proxy_once(format!("HTTP/1.1 200 OK\r\n{kind}\r\n\r\n{body}")).await;
    // A name that nobody but the proxy could know.
    let url = "http://upstream.invalid/v4/chat/completions";
    let client = through(&format!("http://user:pass%21word@{address}"), url);
    assert_eq!(ask_whole(&client).await, "fine");
    let head = proxy.await.unwrap().to_lowercase();
    assert!(head.starts_with(&format!("post {url} http/1.1\r\n")), "{head}");
    // "user:pass!word" in Base64.
    assert!(head.contains("proxy-authorization: basic dxnlcjpwyxnzixdvcmq="), "{head}");
}

#[tokio::test]
async fn a_secured_request_asks_the_proxy_for_a_tunnel_and_shows_it_nothing() {
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (address, proxy) = proxy_once(refusal).await;
    let client =
        through(&format!("http://{address}"), "https://upstream.invalid/v4/chat/completions");
    let failed = ask(&client).await.unwrap_err();
    assert_eq!(failed.error.kind(), "upstream_connect", "{failed}");
    let head = proxy.await.unwrap();
    assert!(head.starts_with("CONNECT upstream.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains(TOKEN), "{head}");
}

#[tokio::test]
async fn a_socks_proxy_resolves_the_name_itself() {
    let (listener, address) = listen().await;
    let proxy = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 2];
        socket.read_exact(&mut greeting).await.unwrap();
        let mut methods = vec![0; greeting[1].into()];
        socket.read_exact(&mut methods).await.unwrap();
        socket.write_all(&[5, 0]).await.unwrap();
        let mut request = vec![0; 5];
        socket.read_exact(&mut request).await.unwrap();
        let mut name = vec![0; request[4].into()];
        socket.read_exact(&mut name).await.unwrap();
        (request[3], String::from_utf8(name).unwrap())
    });
    let client = through(&format!("socks5h://{address}"), "http://upstream.invalid/v1/x");
    let failed = ask(&client).await.unwrap_err();
    assert_eq!(failed.error.kind(), "upstream_connect", "{failed}");
    assert_eq!(proxy.await.unwrap(), (3, "upstream.invalid".to_owned()));
}

#[tokio::test]
async fn a_proxy_that_is_down_is_not_gone_round() {
    let (upstream, upstream_address) = listen().await;
    let (gone, gone_address) = listen().await;
    drop(gone);
    let url = format!("http://{upstream_address}/v1/chat/completions");
    let failed = ask(&through(&format!("http://{gone_address}"), &url)).await.unwrap_err();
    assert_eq!(failed.error.kind(), "upstream_connect", "{failed}");
    let accepted = futures::FutureExt::now_or_never(upstream.accept());
    assert!(accepted.is_none());
}

#[test]
fn a_proxy_is_checked_and_its_password_is_not_shown() {
    let mut settings = Settings::default();
    settings.proxy = Some(Secret::new("ftp://user:hunter2@host"));
    let error = Client::new(settings.clone()).unwrap_err();
    assert!(matches!(error, SettingsError::Proxy { .. }), "{error}");
    for text in [error.to_string(), format!("{error:?}"), format!("{settings:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
