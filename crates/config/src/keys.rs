//! The API keys of the clients, and what each may do.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use z2api_upstream_client::Secret;

/// An API key. The key itself is not kept, only its digest.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKey {
    /// Whose it is; None for a key of `DEFAULT_KEY`.
    pub name: Option<String>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// How many of its requests may be in flight.
    pub concurrent: Option<u32>,
    /// How many requests it may make in a minute.
    pub per_minute: Option<u32>,
    /// The only models it may ask, by public name. None: all.
    pub models: Option<Vec<String>>,
    /// From when on it is not good any more.
    pub expires: Option<Timestamp>,
}

impl ApiKey {
    /// A key without limits.
    pub fn unlimited(key: &Secret) -> Self {
        Self {
            name: None,
            digest: digest(key.expose().as_bytes()),
            concurrent: None,
            per_minute: None,
            models: None,
            expires: None,
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The digest that stands for a key.
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// A new random key.
pub(crate) fn random_key() -> Secret {
    let bytes: [u8; 24] = rand::random();
    Secret::new(format!("sk-{}", hex(&bytes)))
}

/// A new key for `name`, and its line for the file of `API_KEYS_FILE`.
///
/// # Errors
/// If the name has other characters than letters, digits, `.`, `_` and `-`, or more than 64.
pub fn keygen(name: &str) -> Result<(Secret, String), String> {
    check_name(name)?;
    let key = random_key();
    let line = format!("{name} {}", hex(&digest(key.expose().as_bytes())));
    Ok((key, line))
}

/// Reads the file of `API_KEYS_FILE`: a key per line, `NAME SHA256` and then any of
/// `concurrent=N`, `per_minute=N`, `models=A,B`, `expires=YYYY-MM-DD`; `#` begins a comment.
pub(crate) fn read_keys(text: &str) -> Result<Vec<ApiKey>, String> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let key = read_line(line).map_err(|why| format!("line {}: {why}", number + 1))?;
        if keys.iter().any(|known| known.digest == key.digest || known.name == key.name) {
            return Err(format!("line {}: the name or the key stands there twice", number + 1));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn read_line(line: &str) -> Result<ApiKey, String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    check_name(name)?;
    let digest = words.next().and_then(unhex).ok_or(
        "after the name comes the SHA-256 of the key, 64 hex digits (z2api-server keygen NAME)",
    )?;
    let mut key = ApiKey {
        name: Some(name.to_owned()),
        digest,
        concurrent: None,
        per_minute: None,
        models: None,
        expires: None,
    };
    for word in words {
        let (option, value) = word.split_once('=').unwrap_or((word, ""));
        match option {
            "concurrent" => key.concurrent = Some(positive(option, value)?),
            "per_minute" => key.per_minute = Some(positive(option, value)?),
            "models" if !value.is_empty() => {
                key.models = Some(value.split(',').map(str::to_owned).collect());
            }
            "expires" => key.expires = Some(day(value)?),
            _ => {
                return Err(format!(
                    "{word:?} is none of concurrent=N, per_minute=N, models=A,B, expires=YYYY-MM-DD"
                ));
            }
        }
    }
    Ok(key)
}

fn check_name(name: &str) -> Result<(), String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(format!("{name:?} is no name: 1 to 64 letters, digits, '.', '_' and '-'"))
}

fn positive(option: &str, value: &str) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{option}={value:?} must be a whole number above 0"))
}

/// The start of a day, UTC.
fn day(value: &str) -> Result<Timestamp, String> {
    let date: Option<Date> = value.parse().ok();
    let start = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let start = start.ok_or_else(|| format!("expires={value:?} must be a day, YYYY-MM-DD"))?;
    Ok(start.timestamp())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_line_is_read_back() {
        let (key, line) = keygen("ann").unwrap();
        let limits = "concurrent=2 per_minute=30 models=GLM-4.5,GLM-4.6 expires=2030-01-31";
        let keys = read_keys(&format!("# team\n\n{line} {limits} # note\n")).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].digest, ApiKey::unlimited(&key).digest);
        assert_eq!((keys[0].concurrent, keys[0].per_minute), (Some(2), Some(30)));
        assert_eq!(keys[0].models.as_ref().unwrap().len(), 2);
        assert_eq!(keys[0].expires.unwrap().to_string(), "2030-01-31T00:00:00Z");
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let digest = "0".repeat(64);
        for (text, says) in [
            ("ann", "64 hex digits"),
            ("ann 12", "64 hex digits"),
            (&format!("a/b {digest}"), "is no name"),
            (&format!("ann {digest} concurrent=0"), "above 0"),
            (&format!("ann {digest} limit=5"), "is none of"),
            (&format!("ann {digest} expires=tomorrow"), "must be a day"),
            (&format!("ann {digest}\nann {}", "1".repeat(64)), "line 2"),
        ] {
            let why = read_keys(text).unwrap_err();
            assert!(why.contains(says) && why.starts_with("line "), "{why}");
        }
    }
}
