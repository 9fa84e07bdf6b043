//! What the demo says.

use super::asked::Asked;

/// The thinking, over several lines, so that quoting has something to do.
pub(super) fn thinking(asked: &Asked) -> String {
    let question = shown(&asked.question);
    format!(
        "Somebody asks: {question}.\n\n\
         1. Nobody expects knowledge from a simulator.\n\
         \x20  - It has no model behind it.\n\
         \x20  - It can say so.\n\
         2. Best to quote the question, so that one sees it arrived whole.\n\n\
         Then a few honest sentences, in small pieces."
    )
}

/// The answer. With search it says where the citation comes from.
pub(super) fn text(asked: &Asked, citation: &str) -> String {
    let question = shown(&asked.question);
    let beginning = format!("You asked: {question}. There is no language model here. ");
    let what = if asked.search {
        format!(
            "Search is switched on, so a simulated search ran first and found one invented page\
             {citation}. The mark behind that sentence came as the upstream sends it; what you see \
             of it now is what z2api made of it. The search result itself travelled as an event of \
             its own, which is not part of the answer and should not show up in it.\n\n"
        )
    } else {
        "This text comes from z2api's simulated upstream, which speaks the same two dialects as \
         the real one over a real local socket. Between it and you stands z2api: it took your \
         OpenAI-style request, waited for a free place, translated the request, and is translating \
         this answer back piece by piece while it is still being written.\n\n"
            .to_owned()
    };
    let thought = if asked.thinking {
        "Thinking is switched on: what came before this text was sent as thinking, and z2api shows, \
         moves or drops it as it is configured. "
    } else {
        "Thinking is switched off; a model name that asks for it shows how it looks. "
    };
    let end = "If you stop reading, z2api notices, closes its upstream connection and frees the \
         place. To talk to a real model, set the upstream URL and a token, and leave the demo \
         behind. 再见 👋";
    [&beginning, &what, thought, end].concat()
}

fn shown(question: &str) -> String {
    if question.is_empty() { "nothing at all".to_owned() } else { format!("“{question}”") }
}
