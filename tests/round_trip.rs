//! Whatever a model thinks and says, however the upstream cuts it, comes out as it was.
//!
//! The texts are made of what the markup is made of: quote marks, tags, line ends, emoji.

use proptest::prelude::*;
use z2api_stream_transform::{Fold, Options, ThinkMode, Transform};
use z2api_upstream_sim::text::Answer;
use z2api_wire::event::{Dialect, Event};
use z2api_wire::{openai, zai};

/// Words that look like markup, and what may stand around them.
const WORDS: [&str; 22] = [
    "a",
    "Hi",
    " ",
    "  ",
    "\n",
    "\n\n",
    ">",
    "> ",
    "\n>",
    "\n> ",
    "<",
    "</",
    "<details>",
    "</details>",
    "<summary>x</summary>",
    "<think>",
    "</think>",
    "🌈",
    "山",
    "\"",
    "\\",
    "【turn】",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..24).prop_map(|words| words.concat())
}

/// What is left of thinking in the web chat: the blank lines at both ends are the markup's.
fn trimmed(thinking: &str) -> String {
    let solid = thinking.trim_start_matches([' ', '\n']);
    let indent = &thinking[..thinking.len() - solid.len()];
    let indent = &indent[indent.rfind('\n').map_or(0, |at| at + 1)..];
    let end = solid.trim_end_matches([' ', '\n']).len();
    let line_end = solid[end..].find('\n').map_or(solid.len(), |at| end + at);
    if solid.is_empty() { String::new() } else { format!("{indent}{}", &solid[..line_end]) }
}

/// `reasoning_content` and `content` of the answer in a mode.
fn said(answer: &Answer, dialect: Dialect, mode: ThinkMode) -> (String, String) {
    let (mut fold, mut transform) = (Fold::default(), Transform::new(Options::new(dialect, mode)));
    let datas = match dialect {
        Dialect::ZaiWeb => answer.web_events(),
        Dialect::OpenAi => answer.openai_events("m"),
    };
    for data in &datas {
        let mut push = |event: Event<'_>| {
            let _ = transform.push(&event, &mut fold).expect("a readable answer");
        };
        match dialect {
            Dialect::ZaiWeb => zai::decode(data, &mut push).expect("an event"),
            Dialect::OpenAi => openai::decode(data, &mut push).expect("a chunk"),
        }
    }
    transform.end(&mut fold).expect("a fold tells all");
    let whole = fold.whole().expect("a whole answer");
    (whole.reasoning.to_owned(), whole.content.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_goes_in_comes_out(thinking in text(), text in text(), piece in 1usize..9) {
        let answer = Answer { thinking, text, piece, usage: (1, 1) };
        let thought = trimmed(&answer.thinking);
        let tagged = |thought: &str| match thought {
            "" => answer.text.clone(),
            _ => format!("<think>\n{thought}\n</think>\n\n{}", answer.text),
        };
        let web = |mode| said(&answer, Dialect::ZaiWeb, mode);
        prop_assert_eq!(web(ThinkMode::Reasoning), (thought.clone(), answer.text.clone()));
        prop_assert_eq!(web(ThinkMode::Think), (String::new(), tagged(&thought)));
        prop_assert_eq!(web(ThinkMode::Strip), (String::new(), answer.text.clone()));
        let (reasoning, raw) = web(ThinkMode::Raw);
        prop_assert_eq!(reasoning, "");
        let quoted = answer.thinking.replace('\n', "\n> ");
        if answer.thinking.is_empty() {
            prop_assert_eq!(raw, answer.text.clone());
        } else {
            let end = format!("\n> {quoted}\n</details>\n{}", answer.text);
            prop_assert!(raw.ends_with(&end), "{:?} ends with {:?}", raw, end);
            prop_assert!(raw.starts_with("<details type=\"reasoning\" done=\"false\""));
        }
        let api = |mode| said(&answer, Dialect::OpenAi, mode);
        prop_assert_eq!(api(ThinkMode::Reasoning), (answer.thinking.clone(), answer.text.clone()));
        prop_assert_eq!(api(ThinkMode::Think), (String::new(), tagged(&thought)));
        prop_assert_eq!(api(ThinkMode::Strip), (String::new(), answer.text.clone()));
    }
}
