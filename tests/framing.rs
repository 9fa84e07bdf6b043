//! What a request may look like on the wire. One request, one answer; and where two readers could
//! differ about where a request ends, nothing after it.

use serde_json::Value;
use z2api_tests::web::{END, PIECE};
use z2api_tests::{Answer, Gateway, KEY, Raw, answers, chat_request};
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

const BODY: &str = r#"{"model":"GLM-4.5","messages":[{"role":"user","content":"x"}]}"#;
/// What must not be answered when it follows something odd.
const SMUGGLED: &str = "GET /v1/models HTTP/1.1\r\nhost: smuggled\r\n\r\n";

async fn gateway() -> Gateway {
    // What never comes need not be waited for very long.
    let variables = [("CLIENT_BODY_TIMEOUT", "2000")];
    Gateway::with(Dialect::ZaiWeb, Script::events([PIECE, END]), &variables).await
}

/// Says it, and reads until the gateway closes.
async fn say(gateway: &Gateway, said: impl AsRef<[u8]>) -> Vec<Answer> {
    let mut peer = Raw::connect(gateway.address).await;
    peer.send(said).await;
    answers(&peer.to_the_end().await)
}

fn post(lines: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\
         {lines}\r\n{body}"
    )
}

fn get(lines: &str) -> String {
    format!("GET /health HTTP/1.1\r\n{lines}\r\n")
}

/// Odd requests, and what they get: the status, then the end of the connection.
fn odd() -> Vec<(&'static str, String, u16)> {
    let length = BODY.len();
    let chunked = |lines: &str, chunks: &str| post(lines, chunks);
    let hex = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let te = "transfer-encoding: chunked\r\n";
    let host = "host: a\r\n";
    let long = "x".repeat(9000);
    vec![
        // Two lengths, or a length and a coding.
        ("CL, TE", chunked(&format!("content-length: 6\r\n{te}"), &hex), 200),
        ("TE, CL", chunked(&format!("{te}content-length: 6\r\n"), &hex), 200),
        ("CL 0, TE", chunked(&format!("content-length: 0\r\n{te}"), &hex), 200),
        ("CL, TE, empty", chunked(&format!("content-length: 50\r\n{te}"), "0\r\n\r\n"), 400),
        ("CL differing", post("content-length: 5\r\ncontent-length: 6\r\n", "12345"), 400),
        ("CL list differing", post("content-length: 5, 6\r\n", "12345"), 400),
        ("CL +", post("content-length: +5\r\n", "12345"), 400),
        ("CL -", post("content-length: -5\r\n", "12345"), 400),
        ("CL hex", post("content-length: 0x5\r\n", "12345"), 400),
        ("CL text", post("content-length: five\r\n", "12345"), 400),
        ("CL empty", post("content-length: \r\n", "12345"), 400),
        ("CL with a sign inside", post("content-length: 1 2\r\n", "12345"), 400),
        ("CL too big for a number", post("content-length: 99999999999999999999\r\n", ""), 400),
        ("CL of petabytes", post("content-length: 9999999999999999\r\n", ""), 413),
        ("space before the colon of CL", post("content-length : 5\r\n", "12345"), 400),
        ("tab before the colon of TE", chunked("transfer-encoding\t: chunked\r\n", &hex), 400),
        // Codings.
        ("TE of an unknown kind", chunked("transfer-encoding: xchunked\r\n", &hex), 400),
        ("TE not last", chunked("transfer-encoding: chunked, identity\r\n", &hex), 400),
        ("TE identity", chunked("transfer-encoding: identity\r\n", &hex), 400),
        ("TE gzip", chunked("transfer-encoding: gzip\r\n", &hex), 400),
        ("TE with a vertical tab", chunked("transfer-encoding: \x0bchunked\r\n", &hex), 400),
        ("TE quoted", chunked("transfer-encoding: \"chunked\"\r\n", &hex), 400),
        ("TE in two lines, last odd", chunked(&format!("{te}transfer-encoding: x\r\n"), &hex), 400),
        ("TE empty", chunked("transfer-encoding: \r\n", &hex), 400),
        ("TE folded", chunked("transfer-encoding:\r\n chunked\r\n", &hex), 400),
        ("TE plain", chunked(te, &hex), 200),
        ("TE twice", chunked(&format!("{te}{te}"), &hex), 200),
        ("TE in capitals", chunked("Transfer-Encoding: CHUNKED\r\n", &hex), 200),
        ("TE in HTTP/1.0", chunked(te, &hex).replace("HTTP/1.1", "HTTP/1.0"), 400),
        // Chunks.
        ("chunk size of no number", chunked(te, "zz\r\n"), 400),
        ("chunk size empty", chunked(te, "\r\n\r\n"), 400),
        ("chunk size negative", chunked(te, "-1\r\n"), 400),
        ("chunk size with 0x", chunked(te, "0x5\r\n12345\r\n0\r\n\r\n"), 400),
        ("chunk size too big", chunked(te, "fffffffffffffffff\r\n"), 400),
        ("chunk size of exabytes", chunked(te, "ffffffffffffff0\r\n"), 408),
        ("chunk with no end of line", chunked(te, "5\r\n12345X0\r\n\r\n"), 400),
        ("chunk size ended by LF alone", chunked(te, "5\n12345\r\n0\r\n\r\n"), 400),
        (
            "chunk with a flood of extensions",
            chunked(te, &format!("5;{}", "x".repeat(20_000))),
            400,
        ),
        ("chunk with a CR in its extension", chunked(te, "5;a=\rb\r\n12345\r\n0\r\n\r\n"), 400),
        ("trailers without end", chunked(te, &format!("0\r\n{}", "a: b\r\n".repeat(20_000))), 400),
        // Heads.
        ("no Host", get(""), 400),
        ("two Hosts", get("host: a\r\nhost: a\r\n"), 400),
        ("two Hosts, differing", get("host: a\r\nhost: b\r\n"), 400),
        ("Host with a path", get("host: a/b\r\n"), 400),
        ("Host with a user", get("host: u@a\r\n"), 400),
        ("Host with a space", get("host: a b\r\n"), 400),
        ("folded line", get("host: a\r\nx: 1\r\n 2\r\n"), 400),
        ("space before the first line", get(" host: a\r\n"), 400),
        ("space in a name", get("host: a\r\nx y: 1\r\n"), 400),
        ("name empty", get("host: a\r\n: 1\r\n"), 400),
        ("line without a colon", get("host: a\r\nx\r\n"), 400),
        ("NUL in a value", get("host: a\r\nx: 1\x002\r\n"), 400),
        ("lone CR in a value", get("host: a\r\nx: 1\r2\r\n"), 400),
        ("name not ASCII", get("host: a\r\nx\u{e9}: 1\r\n"), 400),
        ("version 1.2", format!("GET /health HTTP/1.2\r\n{host}\r\n"), 400),
        ("version 2.0", format!("GET /health HTTP/2.0\r\n{host}\r\n"), 400),
        ("version 0.9", "GET /health\r\n\r\n".into(), 400),
        ("lower case http", format!("GET /health http/1.1\r\n{host}\r\n"), 400),
        ("no method", format!(" /health HTTP/1.1\r\n{host}\r\n"), 400),
        ("no target", format!("GET HTTP/1.1\r\n{host}\r\n"), 400),
        ("control in the target", format!("GET /he\x01alth HTTP/1.1\r\n{host}\r\n"), 400),
        ("TLS where there is none", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".into(), 400),
        ("HTTP/2 where there is none", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 0),
        ("many lines", get(&format!("{host}{}", "x: y\r\n".repeat(200))), 431),
        ("a large head", get(&format!("{host}x: {}\r\n", "y".repeat(100_000))), 431),
        ("a long target", format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 414),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n".into(), 405),
        ("TRACE", format!("TRACE /health HTTP/1.1\r\n{host}\r\n"), 405),
    ]
}

#[tokio::test]
async fn an_odd_request_is_answered_once_and_nothing_after_it_is() {
    let gateway = gateway().await;
    let odd = odd();
    assert!(odd.len() >= 60, "{}", odd.len());
    for (name, said, status) in odd {
        let answers = say(&gateway, said + SMUGGLED).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        // 0: closed without a word.
        let expected: &[u16] = if status == 0 { &[] } else { &[status] };
        assert_eq!(statuses, expected, "{name}");
    }
    let paths: Vec<Value> = gateway.lines("response", 1).await;
    assert!(paths.iter().all(|line| line["endpoint"] != "/v1/models"), "{paths:?}");
}

#[tokio::test]
async fn what_is_merely_unusual_is_answered_and_so_is_what_follows() {
    let gateway = gateway().await;
    let last = "GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let length = BODY.len();
    for (name, said) in [
        ("an empty line first", format!("\r\n{}", get("host: a\r\n"))),
        ("bare LF", get("host: a\r\n").replace('\r', "")),
        ("absolute form", "GET http://a/health HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("empty Host", get("host:\r\n")),
        ("Host with a port", get("host: a.example:8080\r\n")),
        ("Host in IPv6", get("host: [::1]:8080\r\n")),
        ("name in capitals", get("HOST: a\r\n")),
        ("two equal lengths", post(&format!("content-length: {length}\r\n").repeat(2), BODY)),
        ("leading zeros", post(&format!("content-length: 000{length}\r\n"), BODY)),
        ("an upgrade", get("host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n")),
        (
            "an offer of h2c",
            get(
                "host: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
            ),
        ),
        ("a value of UTF-8", get("host: a\r\nx: \u{e9}\r\n")),
        ("a query", "GET /health?a=b&c HTTP/1.1\r\nhost: a\r\n\r\n".into()),
    ] {
        let answers = say(&gateway, said + last).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200], "{name}");
    }
}

#[tokio::test]
async fn an_old_client_is_served_with_and_without_keep_alive() {
    let gateway = gateway().await;
    let old = |text: String| text.replace("HTTP/1.1", "HTTP/1.0");
    let closes = say(&gateway, old(get("")) + &old(get(""))).await;
    assert_eq!(closes.len(), 1, "closed after one");
    // As `ab -k` asks.
    let keeps = old(get("connection: Keep-Alive\r\n"));
    let kept = say(&gateway, keeps.repeat(2) + &old(get(""))).await;
    assert_eq!(kept.len(), 3);
    assert!(kept[0].has("connection: keep-alive"), "{}", kept[0].head);
    let whole =
        say(&gateway, old(chat_request(false, "connection: keep-alive\r\n")) + &old(get(""))).await;
    assert_eq!((whole.len(), whole[0].status), (2, 200));
    assert!(whole[0].body.contains("tide "));
}

#[tokio::test]
async fn an_old_client_gets_a_stream_that_ends_with_its_connection() {
    let gateway = gateway().await;
    for lines in ["", "connection: keep-alive\r\n"] {
        let asked = chat_request(true, lines).replace("HTTP/1.1", "HTTP/1.0");
        let answers = say(&gateway, asked).await;
        let answer = &answers[0];
        assert_eq!((answers.len(), answer.status), (1, 200));
        let head = &answer.head;
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
        assert!(answer.body.starts_with("data: {"), "no chunks: {}", answer.body);
        assert!(answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on_once_its_key_is_good() {
    let gateway = gateway().await;
    let head = |key: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\
             expect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            BODY.len()
        )
    };
    let mut good = Raw::connect(gateway.address).await;
    good.send(head(KEY)).await;
    assert_eq!(good.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    good.send(BODY).await;
    assert_eq!(answers(&good.to_the_end().await)[0].status, 200);
    let mut bad = Raw::connect(gateway.address).await;
    bad.send(head("not-a-key")).await;
    let answers = answers(&bad.to_the_end().await);
    assert_eq!((answers.len(), answers[0].status), (1, 401), "no 100 before it");
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let gateway = gateway().await;
    let row = chat_request(true, "")
        + &get("host: a\r\n")
        + &chat_request(false, "")
        + "GET /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = say(&gateway, row).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 404]);
    assert!(answers[0].body.contains("[DONE]") && answers[1].body.contains("uptime_seconds"));
}

#[tokio::test]
async fn a_stream_is_the_last_answer_for_whom_it_shall_be_the_last() {
    let gateway = gateway().await;
    let asked = |lines| chat_request(true, lines) + &get("host: a\r\nconnection: close\r\n");
    for (lines, count) in [("connection: Keep-Alive, Close\r\n", 1), ("", 2)] {
        let answers = say(&gateway, asked(lines)).await;
        assert_eq!((answers.len(), answers[0].status), (count, 200), "{lines}");
        let head = &answers[0].head;
        assert_eq!(answers[0].has("connection: close"), count == 1, "{head}");
        assert!(head.contains("\ndate: ") && head.contains("\nx-request-id: "), "{head}");
        assert!(answers[0].body.ends_with("[DONE]\n\n\r\n0\r\n\r\n"), "{}", answers[0].body);
    }
}

#[tokio::test]
async fn any_cut_of_a_request_into_packets_is_the_same_request() {
    let gateway = gateway().await;
    let said =
        chat_request(false, "") + "GET /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for size in [1, 7, 64] {
        let mut peer = Raw::connect(gateway.address).await;
        peer.socket.set_nodelay(true).unwrap();
        for part in said.as_bytes().chunks(size) {
            peer.send(part).await;
            tokio::task::yield_now().await;
        }
        let answers = answers(&peer.to_the_end().await);
        assert_eq!((answers.len(), answers[0].status, answers[1].status), (2, 200, 404));
    }
}
