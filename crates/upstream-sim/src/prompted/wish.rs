//! What a prompt may wish for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::demo::text_of;

/// The answer to one request, as its prompt describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    pub(super) think: String,
    pub(super) say: String,
    pub(super) found: Vec<Page>,
    pub(super) call: Vec<Call>,
    pub(super) usage: Usage,
    pub(super) finish: Option<String>,
    pub(super) piece: Option<usize>,
    pub(super) after_ms: u64,
    pub(super) pace_ms: u64,
    pub(super) refuse: Option<Refusal>,
    pub(super) fail_after: Option<usize>,
    pub(super) cut_after: Option<usize>,
    pub(super) stall_after: Option<usize>,
    then: Option<Box<Wish>>,
    /// Anything, to tell requests apart.
    #[serde(rename = "mark")]
    _mark: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) link: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: BTreeMap<String, Value>,
}

/// Numbers of tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) cached: Option<u64>,
    pub(super) reasoning: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
}

impl Wish {
    /// The last wish among the user's messages: a message, or a part of one, that is a JSON object.
    /// Programs that act for a user put words of their own around the user's.
    pub(super) fn of(body: &Value) -> Option<serde_json::Result<Self>> {
        let messages = body["messages"].as_array()?;
        let (at, text) = messages.iter().enumerate().rev().find_map(|(at, message)| {
            let asks = message["role"] == "user";
            asks.then(|| wish_in(&message["content"])).flatten().map(|text| (at, text))
        })?;
        let replies = messages[at..].iter().filter(|message| message["role"] == "assistant");
        let turn = replies.count();
        Some(serde_json::from_str::<Self>(&text).map(|wish| wish.at(turn)))
    }

    /// The wish of so many turns later; the last one stays.
    fn at(self, turn: usize) -> Self {
        let mut wish = self;
        for _ in 0..turn {
            match wish.then.take() {
                Some(then) => wish = *then,
                None => break,
            }
        }
        wish
    }

    pub(super) fn piece(&self) -> usize {
        self.piece.unwrap_or(4)
    }

    /// What is said, each `{{N}}` written as the dialect cites the page number N.
    pub(super) fn said(&self, cite: impl Fn(usize) -> String) -> String {
        let cited = |text: String, at: usize| text.replace(&format!("{{{{{at}}}}}"), &cite(at));
        (0..self.found.len()).fold(self.say.clone(), cited)
    }
}

fn wish_in(content: &Value) -> Option<String> {
    let is_wish = |text: &String| text.trim_start().starts_with('{');
    let parts = content.as_array().into_iter().flatten();
    let mut parts = parts.filter_map(|part| part["text"].as_str().map(str::to_owned));
    parts.rfind(is_wish).or_else(|| Some(text_of(content)).filter(is_wish))
}

impl Refusal {
    pub(super) fn bad_wish(why: &str) -> Self {
        let message = format!("The prompt is no script for this simulator: {why}");
        Self { status: 400, code: "1210".into(), message, retry_after: None }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self { prompt: 11, completion: 7, cached: None, reasoning: None }
    }
}
