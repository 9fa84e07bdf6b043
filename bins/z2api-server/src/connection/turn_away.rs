//! Answers that need no conversation: they are written as far as the socket takes them, at once.

use std::mem::MaybeUninit;
use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;

/// For a head that did not come in time.
pub(crate) const REQUEST_TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\n\
     content-length: 0\r\nconnection: close\r\n\r\n";

const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\n\
     content-type: application/json\r\nretry-after: 5\r\ncontent-length: 126\r\n\
     access-control-allow-origin: *\r\nconnection: close\r\n\r\n\
     {\"error\":{\"message\":\"The gateway has too many connections.\",\
     \"type\":\"server_error\",\"param\":null,\"code\":\"too_many_connections\"}}";

/// Writes what the socket takes of it, and waits for nothing.
pub(crate) fn tell(stream: &TcpStream, answer: &str) {
    let _ = SockRef::from(stream).send(answer.as_bytes());
}

/// Closes a connection that there is no place for, with a 503 where that can be had at once:
/// whoever speaks TLS would not understand it.
pub(crate) fn turn_away(stream: &TcpStream, plain: bool) {
    let socket = SockRef::from(stream);
    // What has come must be read, or closing would reset the connection and destroy the answer.
    let _ = socket.recv(&mut [MaybeUninit::uninit(); 4096]);
    if plain {
        tell(stream, TOO_MANY);
    }
    let _ = socket.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
