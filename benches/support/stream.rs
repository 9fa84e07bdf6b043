//! Upstream streams whose events all have about the same size.

use z2api_upstream_sim::text::words;
use z2api_wire::event::Dialect;

/// The markup that the web chat's thinking begins with.
const OPENING: &str =
    "<details type=\"reasoning\" done=\"false\">\n<summary>Thinking…</summary>\n> ";

/// What the events of a stream carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Thinking; in the web chat's dialect quoted, in a block that is never closed.
    Thinking,
    /// The answer.
    Answer,
}

/// How a stream arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// In reads of 8 KiB, wherever events begin and end.
    Whole,
    /// One event a read.
    Events,
    /// One byte a read.
    Bytes,
}

/// A stream of one kind of event.
#[derive(Debug)]
pub struct Stream {
    /// The dialect it is in.
    pub dialect: Dialect,
    /// All of it, without an end mark.
    pub bytes: Vec<u8>,
    /// Where each event ends.
    pub ends: Vec<usize>,
}

impl Stream {
    /// `events` events with about `size` bytes of text each, of the sort that models write: words,
    /// some of them Chinese, line ends, quotes and other characters that JSON escapes.
    pub fn new(dialect: Dialect, said: Said, size: usize, events: usize) -> Self {
        Self::of(&words(size * (events + 4), 1), dialect, said, size, events)
    }

    /// The same of plain English words on one line.
    pub fn plain(dialect: Dialect, said: Said, size: usize, events: usize) -> Self {
        let mut text = words(3 * size * (events + 4), 1);
        text.retain(|c| c.is_ascii_alphanumeric() || c == ' ');
        Self::of(&text, dialect, said, size, events)
    }

    fn of(text: &str, dialect: Dialect, said: Said, size: usize, events: usize) -> Self {
        let mut stream = Self { dialect, bytes: Vec::new(), ends: Vec::new() };
        let mut rest = text;
        for at in 0..events {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(size.max(4)));
            rest = after;
            let quoted = said == Said::Thinking && dialect == Dialect::ZaiWeb;
            let mut piece = if quoted { piece.replace('\n', "\n> ") } else { piece.to_owned() };
            if quoted && at == 0 {
                piece.insert_str(0, OPENING);
            }
            stream.push(said, &piece);
        }
        stream
    }

    /// The stream, cut into reads.
    pub fn reads(&self, reads: Reads) -> Vec<&[u8]> {
        match reads {
            Reads::Whole => self.bytes.chunks(8 * 1024).collect(),
            Reads::Bytes => self.bytes.chunks(1).collect(),
            Reads::Events => {
                let starts = [0].into_iter().chain(self.ends.iter().copied());
                starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end]).collect()
            }
        }
    }

    fn push(&mut self, said: Said, text: &str) {
        let text = serde_json::to_string(text).expect("a string is JSON");
        let event = match (self.dialect, said) {
            (Dialect::ZaiWeb, said) => {
                let phase = if said == Said::Thinking { "thinking" } else { "answer" };
                format!(
                    r#"{{"type":"chat:completion","data":{{"delta_content":{text},"phase":"{phase}"}}}}"#
                )
            }
            (Dialect::OpenAi, said) => {
                let field = if said == Said::Thinking { "reasoning_content" } else { "content" };
                format!(
                    r#"{{"id":"20260101sim0001","created":1767225600,"model":"glm-4.6","choices":[{{"index":0,"delta":{{"role":"assistant","{field}":{text}}}}}]}}"#
                )
            }
        };
        self.bytes.extend_from_slice(b"data: ");
        self.bytes.extend_from_slice(event.as_bytes());
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }
}
