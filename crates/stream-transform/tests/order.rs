//! Answers whose parts come in an order that no single definition of a mode covers.

use z2api_stream_transform::{Fold, Options, Progress, ThinkMode, Transform};
use z2api_wire::event::{Dialect, Event, FinishReason, Phase, ToolCallDelta};

fn text(phase: Phase, text: &str) -> Event<'_> {
    Event::Text { phase, text: text.into() }
}

/// `content` and `reasoning_content` of an answer.
fn check(options: Options, events: &[Event<'_>], content: &str, reasoning: &str) {
    let (mut fold, mut transform) = (Fold::default(), Transform::new(options));
    for event in events {
        match transform.push(event, &mut fold).expect("a readable answer") {
            Progress::More => {}
            Progress::Whole => break,
        }
    }
    transform.end(&mut fold).expect("a fold tells all");
    let answer = fold.whole().expect("a whole answer");
    assert_eq!((answer.content, answer.reasoning), (content, reasoning), "{events:?}");
}

fn web(mode: ThinkMode) -> Options {
    Options::new(Dialect::ZaiWeb, mode)
}

const BLOCK: &str = "<details type=\"reasoning\" done=\"false\">\n> ";

#[test]
fn thinking_after_a_piece_of_answer_is_a_block_of_its_own() {
    let second = format!("{BLOCK}Two");
    let events = [
        text(Phase::Thinking, "One\n"),
        text(Phase::Answer, "A "),
        text(Phase::Thinking, &second),
        text(Phase::Answer, "B"),
    ];
    let tagged = "<think>\nOne\n</think>\n\nA <think>\nTwo\n</think>\n\nB";
    check(web(ThinkMode::Think), &events, tagged, "");
    check(web(ThinkMode::Strip), &events, "A B", "");
    check(web(ThinkMode::Reasoning), &events, "A B", "One\n\nTwo");
}

#[test]
fn a_call_in_the_thinking_divides_it() {
    let call =
        ToolCallDelta { id: Some("c".into()), name: Some("f".into()), ..ToolCallDelta::default() };
    let events = [
        text(Phase::Thinking, "One"),
        Event::ToolCall(call),
        text(Phase::Thinking, "Two"),
        Event::Finish(FinishReason::ToolCalls),
    ];
    check(web(ThinkMode::Reasoning), &events, "", "One\n\nTwo");
    let tagged = "<think>\nOne\n</think>\n\n<think>\nTwo\n</think>\n\n";
    check(web(ThinkMode::Think), &events, tagged, "");
}

#[test]
fn the_official_apis_thinking_is_handed_on_byte_for_byte() {
    let events = [
        text(Phase::Thinking, "\n a\n"),
        text(Phase::Thinking, "\n\n"),
        text(Phase::Answer, "\nb\n"),
    ];
    for mode in [ThinkMode::Reasoning, ThinkMode::Raw] {
        check(Options::new(Dialect::OpenAi, mode), &events, "\nb\n", "\n a\n\n\n");
    }
    let tagged = "<think>\n a\n</think>\n\n\nb\n";
    check(Options::new(Dialect::OpenAi, ThinkMode::Think), &events, tagged, "");
}

#[test]
fn nothing_follows_a_stop_word_not_even_markup() {
    let whole = format!("{BLOCK}One\n</details>\nA stop B");
    let events = [
        Event::Edit { phase: Phase::Answer, index: None, text: whole.as_str().into() },
        text(Phase::Thinking, BLOCK),
        text(Phase::Answer, "C"),
    ];
    let raw = format!("{BLOCK}One\n</details>\nA ");
    for (mode, content) in
        [(ThinkMode::Raw, raw.as_str()), (ThinkMode::Think, "<think>\nOne\n</think>\n\nA ")]
    {
        let mut options = web(mode);
        options.stop = vec!["stop".to_owned()];
        check(options, &events, content, "");
    }
}

#[test]
fn an_answer_after_an_edit_of_the_thinking_is_answer() {
    let opening = format!("{BLOCK}Hm");
    let edit = |phase| Event::Edit { phase, index: Some(32), text: "true\">\n> Hm, y".into() };
    let by_phase =
        [text(Phase::Thinking, &opening), edit(Phase::Thinking), text(Phase::Answer, "Yes.")];
    check(web(ThinkMode::Reasoning), &by_phase, "Yes.", "Hm, y");
    // An edit of the answer may end within the thinking, which then goes on.
    let by_tag = [
        text(Phase::Thinking, &opening),
        edit(Phase::Answer),
        text(Phase::Answer, "es.\n</details>\nYes."),
    ];
    check(web(ThinkMode::Reasoning), &by_tag, "Yes.", "Hm, yes.");
}
