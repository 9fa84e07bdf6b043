//! What a client is told: where to ask, as whom, how often, and how long to wait.

use std::time::Duration;

use z2api_wire::event::Dialect;
use z2api_wire::sse;

use crate::breaker::BreakerPolicy;
use crate::budget::RetryBudget;
use crate::dialect;
use crate::endpoint::{self, Endpoint};
use crate::headers;
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::tls;
use crate::token::Token;

/// The settings of a [`Client`](crate::Client). Start from the default and set what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Where chats are posted. Default: `https://chat.z.ai/api/chat/completions`.
    pub url: String,
    /// The upstream's protocol. None decides by the URL: a path that ends in
    /// `/api/chat/completions` is [`Dialect::ZaiWeb`], any other [`Dialect::OpenAi`].
    pub dialect: Option<Dialect>,
    /// The token that is sent as `Authorization: Bearer`. Default: none.
    pub token: Option<Secret>,
    /// More tokens beside it. Each request takes the least busy one that is well. Default: none.
    pub tokens: Vec<Secret>,
    /// Whether to ask the upstream for a guest's token when there is no token (`zai-web`
    /// only). Default: true.
    pub guest_tokens: bool,
    /// The `User-Agent` header. Default: `z2api/` and this crate's version.
    pub user_agent: String,
    /// The `X-FE-Version` header (`zai-web` only). Default: `prod-fe-1.0.70`.
    pub fe_version: String,
    /// The `Accept-Language` header (`zai-web` only). Default: `zh-CN`, as its page sends it.
    pub accept_language: String,
    /// Whether plain `http` is allowed to hosts other than this machine. Default: false.
    pub allow_http: bool,
    /// A proxy to go through, as `http://`, `https://`, `socks5://` or `socks5h://` and
    /// `[USER:PASSWORD@]HOST:PORT`. It may hold a password, hence a secret. No other proxy is ever
    /// used, whatever the environment says. Default: none.
    pub proxy: Option<Secret>,
    /// Whether to speak HTTP/2 where the upstream offers it: with `https` and without a proxy. Its
    /// streams share connections, as many as each takes at once; otherwise each stream has a
    /// connection of its own. Default: true.
    pub http2: bool,
    /// Certificates to trust as roots beside the public ones that are compiled in, in PEM.
    /// Default: none.
    pub extra_roots: Option<String>,
    /// When to ask again. Default: see [`RetryPolicy`].
    pub retry: RetryPolicy,
    /// How many retries there may be over all chats. Default: see [`RetryBudget`].
    pub budget: RetryBudget,
    /// When to leave the upstream alone. Default: see [`BreakerPolicy`].
    pub breaker: BreakerPolicy,
    /// How long to wait. Default: see [`Timeouts`].
    pub timeouts: Timeouts,
    /// The largest single event accepted, in bytes; a larger one is an error. Default: 8 MiB.
    pub max_event_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "https://chat.z.ai/api/chat/completions".to_owned(),
            dialect: None,
            token: None,
            tokens: Vec::new(),
            guest_tokens: true,
            user_agent: concat!("z2api/", env!("CARGO_PKG_VERSION")).to_owned(),
            fe_version: "prod-fe-1.0.70".to_owned(),
            accept_language: "zh-CN".to_owned(),
            allow_http: false,
            proxy: None,
            http2: true,
            extra_roots: None,
            retry: RetryPolicy::default(),
            budget: RetryBudget::default(),
            breaker: BreakerPolicy::default(),
            timeouts: Timeouts::default(),
            max_event_bytes: sse::DEFAULT_MAX_EVENT,
        }
    }
}

/// How long a client waits, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection, name lookup and TLS included. Default: 5 s.
    pub connect: Duration,
    /// For the first event that counts: one deadline over all attempts, the waits between them
    /// and the guest's token. Default: 120 s.
    pub first_event: Duration,
    /// For the next event with content. Comments do not feed this clock, and it stands still
    /// while the reader is away. Default: 60 s.
    pub idle: Duration,
    /// For the whole answer, from its first event. Default: 300 s.
    pub lifetime: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_event: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            lifetime: Duration::from_secs(300),
        }
    }
}

impl Settings {
    /// Makes every check that [`Client::new`](crate::Client::new) makes, and sets nothing up.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_values()?;
        let endpoint = Endpoint::new(self)?;
        headers::common(&endpoint, self)?;
        if let Some(proxy) = &self.proxy {
            endpoint::check_proxy(proxy.expose())?;
        }
        tls::config(self.extra_roots.as_deref())?;
        self.check_token(endpoint.dialect)
    }

    /// The checks that need nothing but the values.
    fn check_values(&self) -> Result<(), SettingsError> {
        let durations = [
            ("timeouts.connect", self.timeouts.connect),
            ("timeouts.first_event", self.timeouts.first_event),
            ("timeouts.idle", self.timeouts.idle),
            ("timeouts.lifetime", self.timeouts.lifetime),
        ];
        for (setting, duration) in durations {
            if duration.is_zero() {
                return Err(SettingsError::Zero { setting });
            }
        }
        if self.max_event_bytes == 0 {
            return Err(SettingsError::Zero { setting: "max_event_bytes" });
        }
        let RetryPolicy { jitter_min: min, jitter_max: max, .. } = self.retry;
        if min > max {
            return Err(SettingsError::Jitter { min, max });
        }
        Ok(())
    }

    /// The one token and those beside it.
    pub(crate) fn all_tokens(&self) -> impl Iterator<Item = &Secret> {
        self.token.iter().chain(&self.tokens)
    }

    fn check_token(&self, dialect: Dialect) -> Result<(), SettingsError> {
        let is_bad = |secret: &Secret| Token::given(secret.expose()).is_none();
        if self.all_tokens().any(is_bad) {
            return Err(SettingsError::Header { setting: "token" });
        }
        if self.all_tokens().next().is_none()
            && !(self.guest_tokens && dialect::has_guests(dialect))
        {
            return Err(SettingsError::NoToken { dialect });
        }
        Ok(())
    }
}

/// Settings that no client can be made of. Never holds the token or the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The URL is none that can be asked.
    #[error("the upstream URL {problem}; it must look like https://HOST/PATH/chat/completions")]
    Url {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Plain `http` to another machine would show the token to everyone on the way.
    #[error("plain http is only allowed to this machine, not to {host}; use https or allow http")]
    PlainHttp {
        /// The host in the URL.
        host: String,
    },
    /// The proxy is none that can be used.
    #[error("the proxy {problem}; it must look like http://HOST:PORT or socks5://HOST:PORT")]
    Proxy {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The extra roots are no certificates in PEM.
    #[error("the extra roots are no certificates in PEM that can be trusted")]
    Roots,
    /// The dialect needs a token and there is none.
    #[error("the {dialect} dialect needs a token{}", match dialect {
        Dialect::ZaiWeb => ", or guest tokens allowed",
        Dialect::OpenAi => "",
    })]
    NoToken {
        /// The dialect.
        dialect: Dialect,
    },
    /// A value cannot stand in an HTTP header.
    #[error("{setting} holds characters that cannot stand in an HTTP header")]
    Header {
        /// The name of the setting.
        setting: &'static str,
    },
    /// The jitter's bounds are in the wrong order.
    #[error("the least jitter ({min:?}) is above the most ({max:?})")]
    Jitter {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// A limit of nothing would fail every request.
    #[error("{setting} must be above zero")]
    Zero {
        /// The name of the setting.
        setting: &'static str,
    },
    /// The TLS or HTTP library could not be set up.
    #[error("the HTTP client cannot be set up: {reason}")]
    Setup {
        /// Its words.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        let mut settings = Settings::default();
        settings.timeouts.idle = Duration::ZERO;
        assert_eq!(settings.check(), Err(SettingsError::Zero { setting: "timeouts.idle" }));
        let settings = Settings { max_event_bytes: 0, ..Settings::default() };
        assert_eq!(settings.check(), Err(SettingsError::Zero { setting: "max_event_bytes" }));
    }

    #[test]
    fn jitter_in_the_wrong_order_is_refused() {
        let mut settings = Settings::default();
        settings.retry.jitter_min = Duration::from_secs(1);
        assert!(matches!(settings.check(), Err(SettingsError::Jitter { .. })));
    }
}
