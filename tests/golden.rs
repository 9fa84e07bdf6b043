//! Every stream, in every thinking mode, streamed and folded, whole and a byte at a time.
//!
//! Two judges: the meaning of each stream (`NAME.json`) by the definition of the modes, and the
//! exact bytes (`NAME.golden`). `UPDATE_GOLDEN=1 cargo test -p z2api-tests --test golden` writes
//! the golden files anew; read their difference before you commit it.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::Value;
use z2api_stream_transform::{
    AnswerId, CallForm, Chunks, Encoder, Fold, Options, ThinkMode, Transform, completion,
};
use z2api_tests::{Case, Ends, cases};
use z2api_wire::decode::EventDecoder;
use z2api_wire::event::{Dialect, Event};
use z2api_wire::{Malformed, sse};

fn id() -> AnswerId {
    AnswerId { id: "chatcmpl-0".into(), created: 1, model: "GLM-4.5".into() }
}

fn events(dialect: Dialect, reads: &[&[u8]]) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    let (mut decoder, mut decode) = (sse::Decoder::default(), EventDecoder::new(dialect));
    let mut each = |data: &[u8]| decode.decode(data, &mut |event| events.push(event.into_owned()));
    for read in reads {
        decoder.feed::<Malformed>(read, &mut each).expect("a readable stream");
    }
    decoder.finish::<Malformed>(&mut each).expect("a readable stream");
    events
}

/// The bytes of the streamed answer and of the folded one, which is None for a broken stream.
fn answers(case: &Case, mode: ThinkMode, events: &[Event<'_>]) -> (String, Option<String>) {
    let options = || Options::new(case.dialect, mode);
    let (mut chunks, mut fold) = (Chunks::new(&id(), true), Fold::default());
    let [mut streaming, mut folding] = [Transform::new(options()), Transform::new(options())];
    let clean = matches!(case.ends, Ends::Finish(_));
    for event in events {
        let outcomes = (streaming.push(event, &mut chunks), folding.push(event, &mut fold));
        assert_eq!(outcomes.0, outcomes.1);
        assert!(outcomes.0.is_ok() || !clean, "{outcomes:?}");
    }
    if clean {
        streaming.end(&mut chunks).expect("chunks tell all");
        folding.end(&mut fold).expect("a fold tells all");
    } else {
        streaming.abort(&mut chunks);
        folding.abort(&mut fold);
    }
    let stream = String::from_utf8(chunks.take().to_vec()).expect("UTF-8");
    let json = fold.whole().map(|answer| completion(answer, &id(), CallForm::Tools));
    let whole = json.map(|json| String::from_utf8(json).expect("UTF-8"));
    (stream, whole)
}

fn field(chunk: &Value, name: &str) -> String {
    chunk["choices"][0]["delta"][name].as_str().unwrap_or_default().to_owned()
}

/// What a client puts together from a stream.
struct Heard {
    content: String,
    reasoning: String,
    finish_reasons: Vec<String>,
    annotations: Vec<Value>,
    usage: Vec<Value>,
    done: usize,
}

fn hear(stream: &str) -> Heard {
    let mut heard = Heard {
        content: String::new(),
        reasoning: String::new(),
        finish_reasons: Vec::new(),
        annotations: Vec::new(),
        usage: Vec::new(),
        done: 0,
    };
    for data in stream.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()) {
        assert_eq!(heard.done, 0, "nothing follows [DONE]");
        if data == "[DONE]" {
            heard.done += 1;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).expect("a chunk is JSON");
        heard.content += &field(&chunk, "content");
        heard.reasoning += &field(&chunk, "reasoning_content");
        let annotations = chunk["choices"][0]["delta"]["annotations"].as_array();
        heard.annotations.extend(annotations.into_iter().flatten().cloned());
        heard
            .finish_reasons
            .extend(chunk["choices"][0]["finish_reason"].as_str().map(String::from));
        assert!(chunk.get("usage").is_some(), "asked for, usage is at least null: {data}");
        heard.usage.extend(chunk.get("usage").filter(|usage| !usage.is_null()).cloned());
    }
    heard
}

fn check(case: &Case, mode: ThinkMode, stream: &str, whole: Option<&str>) {
    let name = format!("{} in {mode}", case.name);
    let heard = hear(stream);
    if let Some(content) = case.content(mode) {
        let closed = matches!(case.ends, Ends::Finish(_)) || !case.answer().is_empty();
        if closed {
            assert_eq!(heard.content, content, "{name}");
        }
    }
    assert!(heard.content.ends_with(case.answer()) || mode != ThinkMode::Raw, "{name}");
    assert_eq!(heard.reasoning, case.reasoning(mode), "{name}");
    match &case.ends {
        Ends::Finish(reason) => {
            assert_eq!(heard.finish_reasons, [reason.as_str()], "{name}");
            assert_eq!(heard.done, 1, "{name}");
            assert_eq!(heard.usage, Vec::from_iter(case.usage.clone()), "{name}");
            let whole: Value = serde_json::from_str(whole.expect("a completion")).unwrap();
            let message = &whole["choices"][0]["message"];
            let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("content"), heard.content, "{name}: streamed and folded");
            assert_eq!(text("reasoning_content"), heard.reasoning, "{name}: streamed and folded");
            assert_eq!(whole["choices"][0]["finish_reason"], reason.as_str(), "{name}");
            assert_eq!(whole.get("usage"), case.usage.as_ref(), "{name}");
            let annotations = message["annotations"].as_array().expect("annotations");
            assert_eq!(*annotations, heard.annotations, "{name}: streamed and folded");
            check_annotations(case, mode, &heard);
            let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
            assert_eq!(calls, case.tool_calls.len(), "{name}");
            for (at, meant) in case.tool_calls.iter().enumerate() {
                let call = &message["tool_calls"][at];
                assert_eq!(call["id"], meant.id.as_str());
                assert_eq!(call["function"]["name"], meant.name.as_str());
                assert_eq!(call["function"]["arguments"], meant.arguments.as_str());
            }
        }
        Ends::Truncated | Ends::Error(_) => {
            assert_eq!((heard.finish_reasons.len(), heard.done), (0, 0), "{name}");
            assert_eq!(whole, None, "{name}: no part may look whole");
        }
    }
}

/// Each citation stands where its annotation says, whatever comes before the answer.
fn check_annotations(case: &Case, mode: ThinkMode, heard: &Heard) {
    let chars: Vec<char> = heard.content.chars().collect();
    let found: Vec<(String, &str, &str)> = heard
        .annotations
        .iter()
        .map(|annotation| {
            assert_eq!(annotation["type"], "url_citation");
            let citation = &annotation["url_citation"];
            let index = |name: &str| citation[name].as_u64().expect("an index") as usize;
            let stretch = chars[index("start_index")..index("end_index")].iter().collect();
            let text = |name: &str| citation[name].as_str().expect("text");
            (stretch, text("url"), text("title"))
        })
        .collect();
    let meant: Vec<(String, &str, &str)> = case
        .sources
        .iter()
        .map(|source| {
            let stretch = match mode {
                ThinkMode::Raw => &source.mark,
                ThinkMode::Think | ThinkMode::Strip | ThinkMode::Reasoning => &source.link,
            };
            (stretch.clone(), source.url.as_str(), source.title.as_str())
        })
        .collect();
    assert_eq!(found, meant, "{} in {mode}", case.name);
}

#[test]
fn every_stream_means_what_it_means_in_every_mode() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = cases();
    assert!(cases.len() >= 27, "{} cases", cases.len());
    for case in cases {
        let mut golden = String::new();
        for mode in ThinkMode::ALL {
            let whole_read = events(case.dialect, &[&case.bytes]);
            let bytes: Vec<&[u8]> = case.bytes.chunks(1).collect();
            assert_eq!(whole_read, events(case.dialect, &bytes), "{}: byte by byte", case.name);
            let (stream, whole) = answers(&case, mode, &whole_read);
            check(&case, mode, &stream, whole.as_deref());
            let none = "(no completion: the stream is broken)".to_owned();
            write!(
                golden,
                "=== {mode}, streamed\n{stream}=== {mode}, whole\n{}\n",
                whole.unwrap_or(none)
            )
            .unwrap();
        }
        if update {
            std::fs::write(case.golden(), &golden).unwrap();
        }
        let expected = std::fs::read_to_string(case.golden()).expect("a golden file");
        assert_eq!(golden, expected, "{}", case.name);
    }
}

/// Cuts the text of each delta anew. Where an upstream cuts must not matter.
fn recut(events: &[Event<'static>], sizes: &[usize]) -> Vec<Event<'static>> {
    let mut sizes = sizes.iter().cycle();
    let mut out: Vec<Event<'static>> = Vec::new();
    for event in events {
        match event {
            Event::Text { phase, text } => {
                let mut rest = text.as_ref();
                while !rest.is_empty() {
                    let size = *sizes.next().expect("endless");
                    let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
                    out.push(Event::Text { phase: *phase, text: rest[..end].to_owned().into() });
                    rest = &rest[end..];
                }
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// Cuts each edit in two: the first part cuts the message, the second is appended to it.
fn halve_edits(events: &[Event<'static>], sizes: &[usize]) -> Vec<Event<'static>> {
    let mut sizes = sizes.iter().cycle();
    let mut out = Vec::new();
    for event in events {
        let Event::Edit { phase, index, text } = event else {
            out.push(event.clone());
            continue;
        };
        let size = *sizes.next().expect("endless");
        let end = text.char_indices().nth(size).map_or(text.len(), |(at, _)| at);
        let (first, second) = text.split_at(end);
        let after = index.unwrap_or(0) + first.encode_utf16().count();
        for (index, text) in [(*index, first), (Some(after), second)] {
            out.push(Event::Edit { phase: *phase, index, text: text.to_owned().into() });
        }
    }
    out
}

/// Holds the answers to `events` against those to the stream as it is.
fn says_the_same(case: &Case, events: &[Event<'static>], other: &[Event<'static>]) {
    for mode in ThinkMode::ALL {
        let ((stream, whole), (again, whole_again)) =
            (answers(case, mode, events), answers(case, mode, other));
        let (heard, heard_again) = (hear(&stream), hear(&again));
        assert_eq!(heard.content, heard_again.content, "{} in {mode}", case.name);
        assert_eq!(heard.reasoning, heard_again.reasoning, "{} in {mode}", case.name);
        assert_eq!(whole, whole_again, "{} in {mode}", case.name);
    }
}

#[test]
fn tags_and_marks_may_be_split_at_every_character() {
    for case in cases() {
        let events = events(case.dialect, &[&case.bytes]);
        says_the_same(&case, &events, &recut(&events, &[1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cutting_of_the_deltas_says_the_same(sizes in prop::collection::vec(1usize..12, 1..9)) {
        for case in cases() {
            let events = events(case.dialect, &[&case.bytes]);
            says_the_same(&case, &events, &recut(&events, &sizes));
        }
    }

    #[test]
    fn an_edit_may_come_in_two_parts(sizes in prop::collection::vec(0usize..90, 1..6)) {
        for case in cases() {
            let events = events(case.dialect, &[&case.bytes]);
            says_the_same(&case, &events, &halve_edits(&events, &sizes));
        }
    }

    #[test]
    fn any_chunking_of_the_bytes_says_the_same(cuts in prop::collection::vec(1usize..4000, 0..12)) {
        for case in cases() {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % case.bytes.len()).collect();
            at.extend([0, case.bytes.len()]);
            at.sort_unstable();
            let reads: Vec<&[u8]> = at.windows(2).map(|cut| &case.bytes[cut[0]..cut[1]]).collect();
            let chunked = events(case.dialect, &reads);
            prop_assert_eq!(chunked, events(case.dialect, &[&case.bytes]));
        }
    }
}
