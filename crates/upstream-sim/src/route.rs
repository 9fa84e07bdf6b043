//! Which kind of request a method and a path make.

/// The two languages an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The web chat's own: a path that ends in `/api/chat/completions`.
    ZaiWeb,
    /// The OpenAI-compatible: any other path that ends in `/chat/completions`.
    OpenAi,
}

impl Dialect {
    /// The dialect of a request target; its query does not count.
    pub fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        if path.ends_with("/api/chat/completions") {
            Some(Self::ZaiWeb)
        } else if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else {
            None
        }
    }
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A chat answer.
    Chat(Dialect),
    /// Who the token belongs to; without one, a new guest.
    Guest,
    /// A file of a user's.
    File,
    /// What was asked so far.
    Asked,
    /// A chat path, asked by a method it does not know.
    WrongMethod,
    /// Anything else.
    Unknown,
}

impl Kind {
    pub(crate) fn of(method: &str, path: &str) -> Self {
        match Dialect::of(path) {
            Some(dialect) if method == "POST" => Self::Chat(dialect),
            Some(Dialect::ZaiWeb | Dialect::OpenAi) => Self::WrongMethod,
            None if method == "GET" && path == "/api/v1/auths/" => Self::Guest,
            None if method == "POST" && path == "/api/v1/files/" => Self::File,
            None if method == "GET" && path == "/sim/chats" => Self::Asked,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_dialect() {
        let chat = |path| Kind::of("POST", path);
        assert_eq!(chat("/api/chat/completions"), Kind::Chat(Dialect::ZaiWeb));
        assert_eq!(chat("/api/chat/completions?x=/y"), Kind::Chat(Dialect::ZaiWeb));
        assert_eq!(chat("/api/paas/v4/chat/completions"), Kind::Chat(Dialect::OpenAi));
        assert_eq!(chat("/chat/completions/"), Kind::Unknown);
        assert_eq!(Kind::of("GET", "/api/chat/completions"), Kind::WrongMethod);
    }

    #[test]
    fn files_are_posted() {
        assert_eq!(Kind::of("POST", "/api/v1/files/"), Kind::File);
        assert_eq!(Kind::of("GET", "/api/v1/files/"), Kind::Unknown);
    }

    #[test]
    fn the_guest_path_is_exact() {
        assert_eq!(Kind::of("GET", "/api/v1/auths/"), Kind::Guest);
        assert_eq!(Kind::of("GET", "/api/v1/auths"), Kind::Unknown);
        assert_eq!(Kind::of("POST", "/api/v1/auths/"), Kind::Unknown);
    }
}
