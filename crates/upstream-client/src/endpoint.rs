//! Where the upstream is: the URL of chats, its origin, and the dialect spoken there.

use ::http::Uri;
use reqwest::Url;
use rustls::pki_types::ServerName;
use z2api_wire::event::Dialect;

use crate::settings::{Settings, SettingsError};

/// A checked URL and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) chat: Uri,
    /// Where a guest's token is to be had (`zai-web` only).
    pub(crate) guest: Uri,
    /// Where files are sent (`zai-web` only).
    pub(crate) files: Uri,
    pub(crate) dialect: Dialect,
    /// `scheme://host[:port]`, as in an `Origin` header.
    pub(crate) origin: String,
}

impl Endpoint {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let problem = |problem| SettingsError::Url { problem };
        let mut chat =
            Url::parse(settings.url.trim()).map_err(|_| problem("is not an absolute URL"))?;
        if !matches!(chat.scheme(), "http" | "https") {
            return Err(problem("is neither https nor http"));
        }
        if !chat.username().is_empty() || chat.password().is_some() {
            return Err(problem("holds a user name or password, which belongs in the token"));
        }
        if chat.scheme() == "http" && !settings.allow_http && !is_this_machine(&chat) {
            let host = chat.host_str().unwrap_or_default().to_owned();
            return Err(SettingsError::PlainHttp { host });
        }
        let host = host_of(&chat);
        if chat.scheme() == "https" && ServerName::try_from(host).is_err() {
            return Err(problem("names a host that no certificate can"));
        }
        chat.set_fragment(None);
        let dialect = settings.dialect.unwrap_or_else(|| dialect_of(&chat));
        let origin = chat.origin().ascii_serialization();
        let uri = |url: &Url| url.as_str().parse::<Uri>().map_err(|_| problem("is too long"));
        Ok(Self {
            guest: uri(&beside(&chat, "/api/v1/auths/"))?,
            files: uri(&beside(&chat, "/api/v1/files/"))?,
            chat: uri(&chat)?,
            dialect,
            origin,
        })
    }
}

/// Checks the URL of a proxy: what it must not hold would be left out without a word.
pub(crate) fn check_proxy(proxy: &str) -> Result<(), SettingsError> {
    let problem = |problem| Err(SettingsError::Proxy { problem });
    let Ok(url) = Url::parse(proxy.trim()) else { return problem("is not an absolute URL") };
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return problem("is neither http, https, socks5 nor socks5h");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return problem("names no host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return problem("holds more than a host and a port");
    }
    Ok(())
}

/// Another path of the same server.
fn beside(chat: &Url, path: &str) -> Url {
    let mut url = chat.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn dialect_of(url: &Url) -> Dialect {
    let path = url.path().trim_end_matches('/');
    if path.ends_with("/api/chat/completions") { Dialect::ZaiWeb } else { Dialect::OpenAi }
}

/// The host without the brackets of an IPv6 address.
fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn is_this_machine(url: &Url) -> bool {
    let host = host_of(url);
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, SettingsError> {
        Endpoint::new(&Settings { url: url.to_owned(), ..Settings::default() })
    }

    #[test]
    fn the_path_tells_the_dialect() {
        let dialect = |url| endpoint(url).unwrap().dialect;
        assert_eq!(dialect("https://chat.z.ai/api/chat/completions"), Dialect::ZaiWeb);
        assert_eq!(dialect("https://other.test:8443/x/api/chat/completions/"), Dialect::ZaiWeb);
        assert_eq!(dialect("https://api.z.ai/api/paas/v4/chat/completions"), Dialect::OpenAi);
        assert_eq!(dialect("https://host/v1/chat/completions?a=b"), Dialect::OpenAi);
        let forced = Settings { dialect: Some(Dialect::OpenAi), ..Settings::default() };
        assert_eq!(Endpoint::new(&forced).unwrap().dialect, Dialect::OpenAi);
    }

    #[test]
    fn origin_and_guest_url_follow_the_chat_url() {
        let endpoint = endpoint("http://127.0.0.1:9/api/chat/completions?x#y").unwrap();
        assert_eq!(endpoint.origin, "http://127.0.0.1:9");
        assert_eq!(endpoint.guest.to_string(), "http://127.0.0.1:9/api/v1/auths/");
    }

    #[test]
    fn plain_http_only_goes_to_this_machine() {
        for url in ["http://localhost/x", "http://a.localhost:1/x", "http://[::1]/x"] {
            assert!(endpoint(url).is_ok(), "{url}");
        }
        let refused = SettingsError::PlainHttp { host: "api.z.ai".to_owned() };
        assert_eq!(endpoint("http://api.z.ai/x").unwrap_err(), refused);
        let allowed = Settings {
            url: "http://api.z.ai/x".to_owned(),
            allow_http: true,
            ..Settings::default()
        };
        assert!(Endpoint::new(&allowed).is_ok());
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_refused() {
        for url in ["", "chat.z.ai", "/api", "ftp://x/y", "https://user:pw@host/x", "https://"] {
            assert!(matches!(endpoint(url), Err(SettingsError::Url { .. })), "{url}");
        }
        let unnameable = format!("https://{}.example/x", "a".repeat(64));
        assert!(matches!(endpoint(&unnameable), Err(SettingsError::Url { .. })));
        assert!(endpoint("https://[::1]/x").is_ok());
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_no_more() {
        for proxy in ["http://host:8080", "https://u:p@host", "socks5://[::1]:1080/", "socks5h://h"]
        {
            assert_eq!(check_proxy(proxy), Ok(()), "{proxy}");
        }
        for proxy in
            ["", "host:8080", "host", "ftp://host", "http://host/path", "http://h?q", "socks5:"]
        {
            assert!(matches!(check_proxy(proxy), Err(SettingsError::Proxy { .. })), "{proxy}");
        }
    }
}
