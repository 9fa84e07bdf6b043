//! The gateway's way of a stream gives the bytes of a slow and obvious one, for the streams of
//! `tests/streams` and for streams that a generator makes up, in every mode and however cut.

use proptest::prelude::*;
use z2api_laws::said_alike;
use z2api_tests::cases;
use z2api_wire::event::Dialect;

#[test]
fn every_stream_is_said_in_the_same_bytes() {
    for case in cases() {
        said_alike(case.dialect, &case.bytes, &[&case.bytes], &[]);
        let bytes: Vec<&[u8]> = case.bytes.chunks(1).collect();
        said_alike(case.dialect, &case.bytes, &bytes, &["the", "。"]);
    }
}

/// A piece of a text, as it stands in JSON.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        " ",
        "word ",
        "天气",
        "é",
        "🙂",
        "<",
        ">",
        "> ",
        "\\n",
        "\\n> ",
        "\\\"",
        "\\\\",
        "\\t",
        "\\/",
        "\\b",
        "\\f",
        "\\u0001",
        "\\u003c",
        "\\u00e9",
        "\\u5929",
        "\\ud83d\\ude42",
        "<details type=\\\"reasoning\\\" done=\\\"false\\\">\\n",
        "<details>",
        "</details>",
        "</details>\\n",
        "</thinking>",
        "<summary>Thought</summary>\\n",
        "<glm_block >{}</glm_block>",
        "【turn0search1】",
        "【",
        "the",
        "0123456789abcdef0123456789abcdef",
    ];
    let text = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..5);
    prop_oneof![9 => text.prop_map(|text| text.concat()), 1 => Just("\t".to_owned()), 1 => Just("\\ud83d".to_owned())]
}

/// An event of the web chat: mostly text, in the shapes that servers write.
fn web_event() -> impl Strategy<Value = String> {
    let phase =
        prop::sample::select(vec!["thinking", "answer", "answer", "tool_call", "other", "new"]);
    let shape = 0..8;
    (piece(), phase, shape, 0u32..40).prop_map(|(text, phase, shape, index)| match shape {
        0..=2 => format!(r#"{{"type":"chat:completion","data":{{"delta_content":"{text}","phase":"{phase}"}}}}"#),
        3 => format!(r#"{{"type": "chat:completion", "data": {{"delta_content": "{text}", "phase": "{phase}"}}}}"#),
        4 => format!(r#"{{"data":{{"phase":"{phase}","delta_content":"{text}","x":[{index}]}},"type":"chat:completion"}}"#),
        5 => format!(r#"{{"type":"chat:completion","data":{{"edit_index":{index},"edit_content":"{text}","phase":"{phase}"}}}}"#),
        6 => format!(r#"{{"type":"chat:message:delta","data":{{"content":"{text}"}}}}"#),
        _ => format!(r#"{{"type":"chat:completion","data":{{"delta_content":"{text}","delta_content":"{text}","phase":"{phase}"}}}}"#),
    })
}

/// A chunk of the API.
fn api_event() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec!["content", "content", "reasoning_content", "reasoning"]);
    (piece(), field, 0..6, 0u32..3).prop_map(|(text, field, shape, number)| match shape {
        0..=2 => format!(r#"{{"id":"x","created":1,"model":"m","choices":[{{"index":0,"delta":{{"role":"assistant","{field}":"{text}"}}}}]}}"#),
        3 => format!(r#"{{"choices": [{{"delta": {{"{field}": "{text}"}}, "index": {number}, "finish_reason": null}}], "usage": null}}"#),
        4 => format!(r#"{{"id":"x{number}","choices":[{{"index":0,"delta":{{"reasoning_content":"{text}","content":"{text}"}}}}]}}"#),
        _ => format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{number},"id":"c","function":{{"name":"{text}","arguments":"{text}"}}}}]}}}}],"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#),
    })
}

/// An event on the wire. Most are framed as the upstream does it.
fn framed(event: String, frame: u8) -> String {
    match frame {
        0 => format!("data:{event}\n\n"),
        1 => format!("data: {event}\r\n\r\n"),
        2 => format!(": a comment\n\nevent: x\ndata: {event}\n\n"),
        3 => format!("data: {}\n\n", event.replacen(',', ",\ndata: ", 1)),
        4 => format!("data: {event}\r\n\n"),
        _ => format!("data: {event}\n\n"),
    }
}

fn stream_of(event: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((event, 0u8..12), 1..24)
        .prop_map(|events| events.into_iter().map(|(event, frame)| framed(event, frame)).collect())
}

/// The stream in reads that end anywhere.
fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % stream.len()).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_made_up_web_stream_is_said_in_the_same_bytes(
        stream in stream_of(web_event()),
        cuts in prop::collection::vec(0usize..8000, 0..8),
    ) {
        let reads = cut(stream.as_bytes(), &cuts);
        said_alike(Dialect::ZaiWeb, stream.as_bytes(), &reads, &["the"]);
    }

    #[test]
    fn a_made_up_api_stream_is_said_in_the_same_bytes(
        stream in stream_of(api_event()),
        cuts in prop::collection::vec(0usize..8000, 0..8),
    ) {
        let reads = cut(stream.as_bytes(), &cuts);
        said_alike(Dialect::OpenAi, stream.as_bytes(), &reads, &[]);
    }
}
