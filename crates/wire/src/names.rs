//! What another API calls the fields of a chat request: for errors, and for the names of hints.

/// The words of one API for the fields of Chat Completions, and where in its request each message
/// came from. The default is Chat Completions itself.
#[derive(Debug, Default)]
pub struct Names {
    /// Chat's field and the API's, with `[]` for any index: `("tools[].function", "tools[]")`. The
    /// first counts that is the whole path, or its beginning up to a `.` or `[`.
    pub fields: &'static [(&'static str, &'static str)],
    /// Where each message came from. A message beyond it keeps its place.
    pub origins: Vec<Origin>,
    /// Which of the client's tools each tool is. A tool beyond it keeps its place.
    pub tools: Vec<usize>,
}

/// Where in the client's request one message came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The message as a whole, such as `messages[1]` or `input[3]`.
    pub place: String,
    /// Each of its parts.
    pub parts: Vec<String>,
    /// Each of its calls.
    pub calls: Vec<String>,
}

impl Origin {
    /// A message whose parts have no places of their own.
    pub fn at(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }
}

impl Names {
    /// The client's path for a path of the chat request.
    pub fn of(&self, path: &str) -> String {
        if let Some((index, rest)) = indexed(path, "messages") {
            return self.in_message(index, rest).unwrap_or_else(|| path.to_owned());
        }
        let (pattern, index) = without_index(path);
        let renamed = self.fields.iter().find_map(|(chats, own)| {
            let rest = pattern.strip_prefix(chats)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{own}{rest}"))
        });
        let own = renamed.unwrap_or(pattern);
        let Some(index) = index else { return own };
        let index = match own.starts_with("tools[]") {
            true => self.tools.get(index).copied().unwrap_or(index),
            false => index,
        };
        own.replacen("[]", &format!("[{index}]"), 1)
    }

    /// The client's name for a field of the chat request that stands in no list.
    pub fn field(&self, name: &'static str) -> &'static str {
        let own = self.fields.iter().find(|(chats, _)| *chats == name);
        own.map_or(name, |(_, own)| own)
    }

    fn in_message(&self, index: usize, rest: &str) -> Option<String> {
        let origin = self.origins.get(index)?;
        let part =
            indexed(rest, ".content").and_then(|(at, rest)| Some((origin.parts.get(at)?, rest)));
        let call = match indexed(rest, ".tool_calls") {
            Some((at, rest)) => origin.calls.get(at).map(|place| (place, rest)),
            None => origin.calls.first().filter(|_| rest == ".tool_calls").map(|place| (place, "")),
        };
        let (place, rest) = part.or(call).unwrap_or((&origin.place, rest));
        Some(format!("{place}{rest}"))
    }
}

/// The index after a name, and what follows: `messages[2].content` is 2 and `.content`.
fn indexed<'a>(path: &'a str, name: &str) -> Option<(usize, &'a str)> {
    let (index, rest) = path.strip_prefix(name)?.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest))
}

/// The path with `[]` for its first index, and the index.
fn without_index(path: &str) -> (String, Option<usize>) {
    let found = path.split_once('[').and_then(|(name, _)| Some((name, indexed(path, name)?)));
    match found {
        Some((name, (index, rest))) => (format!("{name}[]{rest}"), Some(index)),
        None => (path.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let origin = Origin {
            place: "input[2]".to_owned(),
            parts: vec!["input[3].content[0]".to_owned(), "input[3].content[2]".to_owned()],
            calls: vec!["input[4]".to_owned()],
        };
        Names {
            fields: &[
                ("stop", "stop_sequences"),
                ("tools[].function.parameters", "tools[].input_schema"),
                ("tools[].function", "tools[]"),
            ],
            origins: vec![Origin::at("instructions"), origin],
            tools: vec![0, 3],
        }
    }

    #[test]
    fn a_path_is_told_as_the_client_wrote_it() {
        for (chats, own) in [
            ("messages[0].content", "instructions.content"),
            ("messages[1]", "input[2]"),
            ("messages[1].content[1].image_url", "input[3].content[2].image_url"),
            ("messages[1].content[7]", "input[2].content[7]"),
            ("messages[1].tool_calls", "input[4]"),
            ("messages[1].tool_calls[0].type", "input[4].type"),
            ("messages[9].role", "messages[9].role"),
            ("stop", "stop_sequences"),
            ("stop[1]", "stop_sequences[1]"),
            ("stopper", "stopper"),
            ("tools", "tools"),
            ("tools[1].function.name", "tools[3].name"),
            ("tools[0].function.parameters.x", "tools[0].input_schema.x"),
            ("temperature", "temperature"),
        ] {
            assert_eq!(names().of(chats), own, "{chats}");
            assert_eq!(Names::default().of(chats), chats);
        }
        assert_eq!((names().field("stop"), names().field("seed")), ("stop_sequences", "seed"));
    }
}
