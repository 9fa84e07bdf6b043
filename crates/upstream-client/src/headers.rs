//! The headers that all requests of a client share.

use ::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};

use crate::dialect;
use crate::endpoint::Endpoint;
use crate::settings::{Settings, SettingsError};

/// The dialect's own, an honest name, and the wish for an event stream that is not compressed.
pub(crate) fn common(endpoint: &Endpoint, settings: &Settings) -> Result<HeaderMap, SettingsError> {
    let mut headers = dialect::common_headers(endpoint, settings)?;
    let agent = HeaderValue::from_str(&settings.user_agent)
        .map_err(|_| SettingsError::Header { setting: "user_agent" })?;
    headers.insert(USER_AGENT, agent);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(headers)
}
