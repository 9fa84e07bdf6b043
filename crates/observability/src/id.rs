//! What a request is called, in its answer and in the log.

use std::fmt;
use std::sync::Arc;

/// A request's id.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// `req_` and 16 random hex digits.
    pub fn random() -> Self {
        Self(format!("req_{:016x}", rand::random::<u64>()).into())
    }

    /// Takes the client's own id if it is harmless anywhere: 1 to 64 of `[A-Za-z0-9._-]`.
    pub fn accept(from_client: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=64).contains(&from_client.len()) && from_client.bytes().all(harmless);
        fits.then(|| Self(from_client.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_has_the_documented_form() {
        let id = RequestId::random();
        let digits = id.as_str().strip_prefix("req_").unwrap();
        assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(id, RequestId::random());
    }

    #[test]
    fn only_harmless_ids_are_taken() {
        assert_eq!(RequestId::accept("a.B-1_").unwrap().as_str(), "a.B-1_");
        for id in ["", "a b", "a\n", "é", &"x".repeat(65)] {
            assert_eq!(RequestId::accept(id), None, "{id:?}");
        }
    }
}
