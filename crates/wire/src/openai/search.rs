//! What the official API's web search has found: the `web_search` of a chunk.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Event, SearchResult};
use crate::text::Text;

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(default, borrow)]
    title: Option<Text<'a>>,
    #[serde(default, borrow)]
    link: Option<Text<'a>>,
    #[serde(default, borrow)]
    refer: Option<Text<'a>>,
}

/// Reads an array of results, or a single one. A shape that is neither costs no answer: it is
/// counted as unknown.
pub(super) fn event_of(raw: &RawValue) -> Option<Event<'_>> {
    let json = raw.get();
    let found: Result<Vec<Found<'_>>, _> = match json.as_bytes().first() {
        Some(b'n') => return None,
        Some(b'{') => serde_json::from_str(json).map(|one| vec![one]),
        _ => serde_json::from_str(json),
    };
    let Ok(found) = found else { return Some(Event::Unknown(Cow::Borrowed("web_search"))) };
    let results = found.into_iter().filter_map(|found| {
        let url = found.link?.0;
        let (name, title) = (found.refer.unwrap_or_default().0, found.title.unwrap_or_default().0);
        Some(SearchResult { name, title, url })
    });
    Some(Event::Search(results.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(json: &str) -> Option<Vec<String>> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        match event_of(&raw)? {
            Event::Search(found) => Some(found.into_iter().map(|f| f.url.into_owned()).collect()),
            other => Some(vec![format!("{other:?}")]),
        }
    }

    #[test]
    fn results_come_as_a_list_or_alone() {
        let one = r#"{"title":"t","link":"https://a.example","media":"m","refer":"ref_1"}"#;
        assert_eq!(urls(one).unwrap(), ["https://a.example"]);
        assert_eq!(urls(&format!("[{one},{one}]")).unwrap().len(), 2);
        assert_eq!(urls(r#"[{"title":"no link"}]"#).unwrap().len(), 0);
        assert_eq!(urls("null"), None);
        assert!(urls("5").unwrap()[0].contains("Unknown"));
    }
}
