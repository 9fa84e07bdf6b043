//! The streams of `tests/streams`: what an upstream sent, and what it means.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use z2api_stream_transform::ThinkMode;
use z2api_upstream_sim::Script;
use z2api_wire::event::Dialect;

/// A stream and its meaning.
#[derive(Debug)]
pub struct Case {
    /// The name of its files.
    pub name: String,
    /// The bytes the upstream sends.
    pub bytes: Vec<u8>,
    /// The dialect of the stream.
    pub dialect: Dialect,
    /// How it ends.
    pub ends: Ends,
    reasoning: String,
    answer: String,
    /// The answer with its citations as links, where that differs.
    shown: Option<String>,
    /// The usage to report.
    pub usage: Option<Value>,
    /// The tool calls of the answer.
    pub tool_calls: Vec<MeantCall>,
    /// What the answer rests on, in order.
    pub sources: Vec<MeantSource>,
}

/// How a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// Cleanly, for this finish reason.
    Finish(String),
    /// Without an end mark.
    Truncated,
    /// With an error of this kind.
    Error(String),
}

/// A tool call as it is meant.
#[derive(Debug, Clone, Deserialize)]
pub struct MeantCall {
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// A source as it is meant. Without a mark and a link it is found, but not cited.
#[derive(Debug, Clone, Deserialize)]
pub struct MeantSource {
    /// Where it is.
    pub url: String,
    /// Its title.
    pub title: String,
    /// How the upstream cites it.
    #[serde(default)]
    pub mark: String,
    /// How the answer cites it.
    #[serde(default)]
    pub link: String,
}

#[derive(Deserialize)]
struct Meaning {
    dialect: String,
    ends: String,
    kind: Option<String>,
    #[serde(default)]
    reasoning: String,
    #[serde(default)]
    answer: String,
    shown: Option<String>,
    usage: Option<Value>,
    #[serde(default)]
    tool_calls: Vec<MeantCall>,
    #[serde(default)]
    sources: Vec<MeantSource>,
}

impl Case {
    /// The stream as an upstream may write it, with a name for each way.
    pub fn ways(&self) -> [(&'static str, Script); 3] {
        let script = Script::sse(self.bytes.clone());
        [
            ("written at once", script.clone()),
            ("event by event", script.clone().event_by_event()),
            ("a byte at a time", script.pieces_of(1)),
        ]
    }

    /// What `content` must be in a mode, by the definition of the modes. None where only the
    /// golden file tells: the upstream's own markup in `raw` mode.
    pub fn content(&self, mode: ThinkMode) -> Option<String> {
        let shown = self.shown.as_ref().unwrap_or(&self.answer);
        Some(match (mode, self.reasoning.is_empty()) {
            (ThinkMode::Think, false) => {
                format!("<think>\n{}\n</think>\n\n{shown}", self.reasoning)
            }
            (ThinkMode::Think | ThinkMode::Strip | ThinkMode::Reasoning, _) => shown.clone(),
            (ThinkMode::Raw, _) => return None,
        })
    }

    /// What `reasoning_content` must be in a mode.
    pub fn reasoning(&self, mode: ThinkMode) -> &str {
        match (mode, self.dialect) {
            (ThinkMode::Reasoning, _) | (ThinkMode::Raw, Dialect::OpenAi) => &self.reasoning,
            (ThinkMode::Think | ThinkMode::Strip | ThinkMode::Raw, _) => "",
        }
    }

    /// The answer exactly as the upstream sent it.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// Where the golden file of this case is.
    pub fn golden(&self) -> PathBuf {
        folder().join(format!("{}.golden", self.name))
    }
}

/// All cases, by name.
pub fn cases() -> Vec<Case> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder of streams")
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".sse").map(String::from)
        })
        .collect();
    names.sort();
    names.into_iter().map(case).collect()
}

fn case(name: String) -> Case {
    let read = |suffix: &str| {
        let path = folder().join(format!("{name}.{suffix}"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let bytes = read("sse");
    let meaning: Meaning = serde_json::from_slice(&read("json")).expect("a meaning");
    Case {
        name,
        bytes,
        dialect: match meaning.dialect.as_str() {
            "zai-web" => Dialect::ZaiWeb,
            "openai" => Dialect::OpenAi,
            other => panic!("unknown dialect {other}"),
        },
        ends: match meaning.ends.as_str() {
            "truncated" => Ends::Truncated,
            "error" => Ends::Error(meaning.kind.expect("a kind of error")),
            reason => Ends::Finish(reason.to_owned()),
        },
        reasoning: meaning.reasoning,
        answer: meaning.answer,
        shown: meaning.shown,
        usage: meaning.usage,
        tool_calls: meaning.tool_calls,
        sources: meaning.sources,
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/streams"))
}
