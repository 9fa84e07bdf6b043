//! Annotations as OpenAI writes them: `url_citation` objects.

use serde::Serialize;

use crate::sink::Annotation;

/// One of `annotations`.
#[derive(Debug, Serialize)]
pub(crate) struct Written<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: UrlCitation<'a>,
}

#[derive(Debug, Serialize)]
struct UrlCitation<'a> {
    start_index: usize,
    end_index: usize,
    title: &'a str,
    url: &'a str,
}

impl<'a> From<&'a Annotation> for Written<'a> {
    fn from(annotation: &'a Annotation) -> Self {
        let Annotation { url, title, range } = annotation;
        let url_citation =
            UrlCitation { start_index: range.start, end_index: range.end, title, url };
        Self { kind: "url_citation", url_citation }
    }
}
