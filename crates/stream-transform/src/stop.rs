//! Stop words that the upstream does not enforce.

/// Finds the first stop word in text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct StopWords {
    words: Vec<String>,
    held: String,
    met: Option<usize>,
}

impl StopWords {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self {
            words: words.into_iter().filter(|word| !word.is_empty()).collect(),
            held: String::new(),
            met: None,
        }
    }

    /// The word that was met.
    pub(crate) fn met(&self) -> Option<&str> {
        self.met.map(|word| self.words[word].as_str())
    }

    /// Takes a piece and hands on what stands before any stop word. True when one was met; the
    /// word itself is not handed on.
    pub(crate) fn push(&mut self, text: &str, out: &mut impl FnMut(&str)) -> bool {
        if self.words.is_empty() {
            out(text);
            return false;
        }
        self.held.push_str(text);
        let places = self.words.iter().map(|word| self.held.find(word.as_str()));
        if let Some((at, word)) = places.zip(0..).filter_map(|(at, word)| Some((at?, word))).min() {
            self.met = Some(word);
            if at > 0 {
                out(&self.held[..at]);
            }
            self.held.clear();
            return true;
        }
        let certain = self.held.len() - self.longest_beginning();
        if certain > 0 {
            out(&self.held[..certain]);
            self.held.drain(..certain);
        }
        false
    }

    /// The text that may be the beginning of a stop word.
    pub(crate) fn held(&self) -> &str {
        &self.held
    }

    /// No more text comes: the beginning of a stop word was text.
    pub(crate) fn flush(&mut self, out: &mut impl FnMut(&str)) {
        if !self.held.is_empty() {
            out(&std::mem::take(&mut self.held));
        }
    }

    /// How many bytes at the end of the text may be the beginning of a stop word.
    fn longest_beginning(&self) -> usize {
        let begins = |from: usize| {
            let tail = &self.held[from..];
            self.words.iter().any(|word| word.starts_with(tail))
        };
        let longest = self.words.iter().map(String::len).max().unwrap_or(0);
        let first = self.held.len().saturating_sub(longest);
        (first..self.held.len())
            .filter(|from| self.held.is_char_boundary(*from))
            .find(|from| begins(*from))
            .map_or(0, |from| self.held.len() - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], text: &str, expected: &str, stopped: bool) {
        let chars: Vec<String> = text.chars().map(String::from).collect();
        for pieces in [vec![text.to_owned()], chars] {
            let mut stop = StopWords::new(words.iter().map(|word| (*word).to_owned()).collect());
            let mut out = String::new();
            let met = pieces.iter().any(|piece| stop.push(piece, &mut |text| out.push_str(text)));
            if !met {
                stop.flush(&mut |text| out.push_str(text));
            }
            assert_eq!((out.as_str(), met), (expected, stopped), "{text:?} in {pieces:?}");
            assert_eq!(stop.met().is_some(), stopped);
        }
    }

    #[test]
    fn the_answer_ends_before_the_first_stop_word() {
        check(&["END"], "one END two", "one ", true);
        check(&["停止", "b"], "a停止b", "a", true);
    }

    #[test]
    fn the_word_that_was_met_is_known() {
        let mut stop = StopWords::new(vec!["b".to_owned(), "a".to_owned()]);
        assert!(stop.push("xab", &mut |_| {}));
        assert_eq!(stop.met(), Some("a"));
    }

    #[test]
    fn the_beginning_of_a_stop_word_is_text_if_no_more_comes() {
        check(&["END"], "one EN", "one EN", false);
        check(&["aab"], "aaab", "a", true);
        check(&[], "text", "text", false);
    }
}
