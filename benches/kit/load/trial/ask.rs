//! What a trial asks, and whether what it is told is whole, or an honest failure.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::framing::bad;

pub(crate) const KEY: &str = "sk-load-0123456789abcdef";

/// What is asked, and the text that must come.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) request: Vec<u8>,
    say: String,
    whole: bool,
}

/// How an answer ended for its client, all of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Every byte of the text, a finish reason and the end mark.
    Whole,
    /// A status other than 200, with an error's code.
    Refused(u16, String),
    /// The beginning of the text and an error's code, and no sign of a good end.
    Failed(String),
}

/// Asks for a stream that says this, and for whatever else the simulated upstream is to do.
pub(crate) fn question(address: SocketAddr, say: &str, mut wish: Value) -> Question {
    wish["say"] = say.into();
    let request = request(address, &wish, true);
    Question { request, say: say.to_owned(), whole: false }
}

/// Asks for an answer in one piece.
pub(crate) fn whole_question(address: SocketAddr, say: &str, mut wish: Value) -> Question {
    wish["say"] = say.into();
    let request = request(address, &wish, false);
    Question { request, say: say.to_owned(), whole: true }
}

fn request(address: SocketAddr, wish: &Value, stream: bool) -> Vec<u8> {
    let body = json!({
        "model": "GLM-4.5",
        "messages": [{"role": "user", "content": wish.to_string()}],
        "stream": stream,
    })
    .to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

pub(crate) fn get(path: &str, address: SocketAddr) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

impl Question {
    /// Asks on a connection of its own.
    ///
    /// # Errors
    /// If the answer is neither whole nor an explicit failure.
    pub(crate) async fn once(&self, address: SocketAddr) -> io::Result<Told> {
        let mut connection = Connection::open(address).await?;
        Ok(self.on(&mut connection).await?.0)
    }

    /// Asks, and reads to the end. Tells how long the head took.
    ///
    /// # Errors
    /// If the answer is neither whole nor an explicit failure.
    pub(crate) async fn on(&self, connection: &mut Connection) -> io::Result<(Told, Duration)> {
        let status = connection.begin(&self.request).await?;
        let head = connection.asked.elapsed();
        let mut body = Vec::new();
        let read = connection
            .finish(|bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })
            .await;
        read.map_err(|error| {
            bad(format!("{error} (status {status}): {}", String::from_utf8_lossy(&body)))
        })?;
        let told = self.judge(status, &body).ok_or_else(|| {
            bad(format!("neither whole nor failed: {}", String::from_utf8_lossy(&body)))
        })?;
        Ok((told, head))
    }

    fn judge(&self, status: u16, body: &[u8]) -> Option<Told> {
        if status != 200 {
            let error: Value = serde_json::from_slice(body).ok()?;
            return Some(Told::Refused(status, error["error"]["code"].as_str()?.to_owned()));
        }
        if self.whole {
            let body: Value = serde_json::from_slice(body).ok()?;
            let choice = &body["choices"][0];
            let good = choice["finish_reason"] == "stop";
            return (good && choice["message"]["content"] == self.say).then_some(Told::Whole);
        }
        let (mut text, mut finished, mut done, mut failed) = (String::new(), false, false, None);
        for event in std::str::from_utf8(body).ok()?.split_terminator("\n\n") {
            if done || failed.is_some() {
                return None;
            }
            match event.strip_prefix("data: ") {
                Some("[DONE]") => done = true,
                Some(data) => {
                    let event: Value = serde_json::from_str(data).ok()?;
                    failed = event["error"]["code"].as_str().map(str::to_owned);
                    let choice = &event["choices"][0];
                    text += choice["delta"]["content"].as_str().unwrap_or_default();
                    finished |= choice["finish_reason"].is_string();
                }
                None if event.starts_with(':') => {}
                None => return None,
            }
        }
        match failed {
            Some(code) => (!finished && self.say.starts_with(&text)).then_some(Told::Failed(code)),
            None => (done && finished && text == self.say).then_some(Told::Whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: &str) -> Option<Told> {
        Question { request: Vec::new(), say: "so".into(), whole: false }.judge(200, body.as_bytes())
    }

    const S: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"s\"}}]}\n\n";
    const O: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"o\"}}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const DONE: &str = "data: [DONE]\n\n";
    const ERROR: &str = "data: {\"error\":{\"code\":\"cut\"}}\n\n";

    #[test]
    fn only_all_of_the_text_with_its_end_is_whole() {
        assert_eq!(judged(&[S, O, STOP, DONE].concat()), Some(Told::Whole));
        for short in [&[S, O, STOP][..], &[S, O, DONE], &[S, STOP, DONE], &[S], &[]] {
            assert_eq!(judged(&short.concat()), None, "{short:?}");
        }
    }

    #[test]
    fn a_failure_is_told_after_the_beginning_of_the_text_and_last() {
        assert_eq!(judged(&[S, ERROR].concat()), Some(Told::Failed("cut".into())));
        for odd in [&[O, ERROR][..], &[S, ERROR, O], &[S, O, STOP, ERROR], &[S, ERROR, DONE]] {
            assert_eq!(judged(&odd.concat()), None, "{odd:?}");
        }
    }
}
