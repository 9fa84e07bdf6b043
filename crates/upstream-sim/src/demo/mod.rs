//! The demo: answers at human speed that explain themselves.

mod asked;
mod search;
mod speech;

use std::time::Duration;

pub(crate) use self::asked::{Asked, text_of};
use crate::{faults, plan::Plan, record::Recorded, route::Dialect, script::Script, text::Answer};

/// A few characters every so often: about as fast as one reads.
const PACE: Duration = Duration::from_millis(25);
const PIECE: usize = 4;

/// A plan that quotes the question and explains what is answering, in the dialect it was asked in:
/// with thinking if that is switched on, with a search result and its citation if search is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demo;

impl Plan for Demo {
    fn answer(&self, request: &Recorded) -> Script {
        match request.dialect() {
            Some(Dialect::ZaiWeb) => web(&Asked::of_web(&request.json())),
            Some(Dialect::OpenAi) => api(&Asked::of_api(&request.json())),
            None => faults::detail(404, "Not Found"),
        }
    }
}

fn web(asked: &Asked) -> Script {
    let answer = answer(asked, "【turn0search0】");
    let found = asked.search.then(|| search::web_events(&asked.question));
    Script::events(found.into_iter().flatten().chain(answer.web_events())).pace(PACE)
}

fn api(asked: &Asked) -> Script {
    let answer = answer(asked, "[ref_1]");
    if !asked.stream {
        return Script::status(200, "application/json", answer.openai_completion(&asked.model));
    }
    let found = asked.search.then(|| search::api_event(&asked.model));
    Script::events(found.into_iter().chain(answer.openai_events(&asked.model))).pace(PACE)
}

fn answer(asked: &Asked, citation: &str) -> Answer {
    let thinking = if asked.thinking { speech::thinking(asked) } else { String::new() };
    let text = speech::text(asked, citation);
    // Four characters a token is as good a guess as any; a simulator has no tokenizer.
    let tokens = |text: &str| text.chars().count().div_ceil(4) as u64;
    let usage = (tokens(&asked.question), tokens(&thinking) + tokens(&text));
    Answer { thinking, text, piece: PIECE, usage }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Outcome;

    /// The whole body of the demo's answer.
    fn said(path: &str, body: serde_json::Value) -> String {
        let request = Recorded {
            number: 0,
            method: "POST".into(),
            path: path.into(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            outcome: Outcome::Running,
        };
        let script = Demo.answer(&request);
        String::from_utf8(script.writes.concat()).unwrap()
    }

    #[test]
    fn the_web_demo_thinks_and_searches_only_when_asked() {
        let ask = |thinking: bool, search: bool| {
            let features = json!({ "enable_thinking": thinking, "web_search": search });
            said("/api/chat/completions", json!({ "features": features }))
        };
        assert!(ask(true, false).contains(r#""phase":"thinking""#));
        assert!(!ask(false, false).contains(r#""phase":"thinking""#));
        assert!(ask(false, true).contains(r#""phase":"tool_response""#));
        assert!(!ask(true, false).contains("tool_response"));
    }

    #[test]
    fn the_api_demo_thinks_and_searches_only_when_asked() {
        let ask = |body| said("/api/paas/v4/chat/completions", body);
        let plain = ask(json!({ "stream": true, "model": "m" }));
        assert!(plain.contains(r#""model":"m""#) && plain.ends_with("data: [DONE]\n\n"));
        assert!(!plain.contains("reasoning_content") && !plain.contains("web_search"));
        let both = ask(json!({
            "stream": true,
            "thinking": { "type": "enabled" },
            "tools": [{ "type": "web_search", "web_search": { "enable": true } }],
        }));
        assert!(both.contains("reasoning_content") && both.contains(r#""web_search":["#));
    }

    #[test]
    fn the_question_is_quoted_and_the_citation_stands_in_the_text() {
        let messages = json!([{ "role": "user", "content": "Why is the sky blue?" }]);
        let asked = Asked::of_web(&json!({
            "messages": messages, "features": { "web_search": true },
        }));
        let text = answer(&asked, "【turn0search0】").text;
        assert!(text.contains("“Why is the sky blue?”") && text.contains("【turn0search0】"));
        let whole = said("/chat/completions", json!({ "messages": messages }));
        assert!(whole.contains("“Why is the sky blue?”") && whole.starts_with('{'));
    }
}
