//! What the simulated upstream remembers of one request.

use serde_json::Value;

use crate::route::Dialect;

/// One request as it was received, and how its answer ended.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Counts the requests of this kind (chat, guest, other) from 0.
    pub number: usize,
    /// The request method, as sent.
    pub method: String,
    /// The request target, with its query.
    pub path: String,
    /// The request's headers in order; names are lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body, without the transfer coding.
    pub body: Vec<u8>,
    /// How the answer ended, as far as it has.
    pub outcome: Outcome,
}

impl Recorded {
    /// The first header of that name; the name's case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The token of a `Bearer` authorization; an empty one is none.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// The dialect the path belongs to; none when it is no chat path.
    pub fn dialect(&self) -> Option<Dialect> {
        Dialect::of(&self.path)
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is still being written (or waits, or stalls).
    Running,
    /// All of it was handed to the socket.
    Whole,
    /// The script closed or reset the connection before the end.
    CutByScript,
    /// The peer closed or reset the connection before the end.
    PeerClosed,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Whole => "whole",
            Self::CutByScript => "cut_by_script",
            Self::PeerClosed => "peer_closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_authorization(value: &str) -> Recorded {
        Recorded {
            number: 0,
            method: "POST".into(),
            path: "/api/chat/completions?x=1".into(),
            headers: vec![("authorization".into(), value.into())],
            body: b"not json".to_vec(),
            outcome: Outcome::Running,
        }
    }

    #[test]
    fn only_a_bearer_token_is_a_token() {
        assert_eq!(with_authorization("Bearer abc").bearer(), Some("abc"));
        assert_eq!(with_authorization("bearer abc").bearer(), Some("abc"));
        assert_eq!(with_authorization("Basic abc").bearer(), None);
        assert_eq!(with_authorization("Bearer ").bearer(), None);
        assert_eq!(with_authorization("abc").bearer(), None);
    }

    #[test]
    fn a_body_that_is_no_json_reads_as_null() {
        let request = with_authorization("x");
        assert_eq!(request.json(), Value::Null);
        assert_eq!(request.dialect(), Some(Dialect::ZaiWeb));
    }
}
