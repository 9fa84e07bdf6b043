//! The call of the model as spans: the call, with all its tries, by the conventions for generative
//! AI; and under it each try by those for HTTP clients.

use std::borrow::Cow;

use http::Uri;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::of_request::{Frame, InSpans};
use crate::tries::{ANSWERED, Ended};

/// What the upstream is asked, whatever the client's own words for it.
#[derive(Debug, Clone, Default)]
pub struct ModelCall {
    /// Who is behind the URL, in a word from a fixed list.
    pub provider: &'static str,
    /// Where the request goes, without a query.
    pub url: String,
    /// The upstream's own name of the model.
    pub model: String,
    /// As asked.
    pub max_tokens: Option<u64>,
    /// As asked.
    pub temperature: Option<f64>,
    /// As asked.
    pub top_p: Option<f64>,
    /// How hard the model is to think.
    pub reasoning_level: Option<String>,
    /// `text` or `json`, where a form is asked for.
    pub output_type: Option<&'static str>,
}

/// What the upstream calls its answer, as far as it does.
#[derive(Debug, Clone, Default)]
pub struct AnswerName {
    /// The answer's id.
    pub id: Option<String>,
    /// The model that gave it.
    pub model: Option<String>,
}

impl InSpans<'_> {
    /// The span of the call and those of its tries; none if the upstream was not to be asked.
    pub(super) fn of_call(&self, frame: &Frame<'_>) -> Vec<SpanData> {
        let (Some(call), Some(asked)) = (&self.noted.call, self.noted.asked) else {
            return Vec::new();
        };
        let span = SpanData {
            span_context: frame.place.with_span(frame.place.call),
            parent_span_id: frame.place.context.span_id(),
            span_kind: SpanKind::Client,
            name: Cow::Owned(format!("chat {}", call.model)),
            start_time: frame.time(asked),
            attributes: self.about_call(call),
            status: error(self.failure),
            ..frame.blank()
        };
        let server = Server::of(&call.url);
        let tries = self.noted.kept.iter().map(|ended| self.of_try(frame, &server, ended));
        std::iter::once(span).chain(tries).collect()
    }

    fn about_call(&self, call: &ModelCall) -> Vec<KeyValue> {
        let mut all = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", call.provider),
            KeyValue::new("gen_ai.request.model", call.model.clone()),
            // Of the upstream it always is one, also where the client gets its answer in one piece.
            KeyValue::new("gen_ai.request.stream", true),
        ];
        all.extend(number("gen_ai.request.max_tokens", call.max_tokens));
        let warm = call.temperature;
        all.extend(warm.map(|warm| KeyValue::new("gen_ai.request.temperature", warm)));
        all.extend(call.top_p.map(|top| KeyValue::new("gen_ai.request.top_p", top)));
        all.extend(text("gen_ai.request.reasoning.level", call.reasoning_level.as_ref()));
        all.extend(call.output_type.map(|kind| KeyValue::new("gen_ai.output.type", kind)));
        all.extend(Server::of(&call.url).attributes());
        all.extend(self.dialect.map(|dialect| KeyValue::new("z2api.dialect", dialect)));
        all.extend(self.failure.map(|kind| KeyValue::new("error.type", kind)));
        all.extend(self.about_answer());
        all
    }

    /// Nothing, unless there was one.
    fn about_answer(&self) -> Vec<KeyValue> {
        let noted = self.noted;
        let (Some(asked), Some(first)) = (noted.asked, noted.answered()) else { return Vec::new() };
        let took = first.saturating_duration_since(asked).as_secs_f64();
        // What was to have a reason and did not come to it has this one.
        let reason = StringValue::from(self.finish_reason.unwrap_or("error"));
        let reasons = Value::Array(Array::String(vec![reason]));
        let mut all = vec![
            KeyValue::new("gen_ai.response.time_to_first_chunk", took),
            KeyValue::new("gen_ai.response.finish_reasons", reasons),
        ];
        all.extend(text("gen_ai.response.id", noted.answer.id.as_ref()));
        all.extend(text("gen_ai.response.model", noted.answer.model.as_ref()));
        let (input, output) = self.usage.unzip();
        let (cached, reasoning) = self.usage_parts;
        all.extend(number("gen_ai.usage.input_tokens", input));
        all.extend(number("gen_ai.usage.output_tokens", output));
        all.extend(number("gen_ai.usage.cache_read.input_tokens", cached));
        all.extend(number("gen_ai.usage.reasoning.output_tokens", reasoning));
        all
    }

    /// By the conventions for HTTP clients, which want a span for each time that something is sent.
    fn of_try(&self, frame: &Frame<'_>, server: &Server<'_>, ended: &Ended) -> SpanData {
        let answered = ended.of.outcome == ANSWERED;
        let failure = if answered { self.failure } else { Some(ended.of.outcome) };
        let at = frame.time(ended.at);
        let mut attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.full", server.url.to_owned()),
            KeyValue::new("url.template", server.path().to_owned()),
            KeyValue::new("z2api.attempt", i64::from(ended.of.number)),
            KeyValue::new("z2api.token", i64::try_from(ended.of.token).unwrap_or(i64::MAX)),
        ];
        attributes.extend(server.attributes());
        let resent = u64::from(ended.of.number.saturating_sub(1));
        attributes.extend(number("http.request.resend_count", (resent > 0).then_some(resent)));
        let status = ended.of.received.map(u64::from);
        attributes.extend(number("http.response.status_code", status));
        attributes.extend(failure.map(|kind| KeyValue::new("error.type", kind)));
        SpanData {
            span_context: frame.place.with_span(ended.span),
            parent_span_id: frame.place.call,
            span_kind: SpanKind::Client,
            name: Cow::Owned(format!("POST {}", server.path())),
            start_time: at - ended.of.took,
            // The one that was answered goes on to the answer's end.
            end_time: if answered { frame.end() } else { at },
            attributes,
            status: error(failure),
            ..frame.blank()
        }
    }
}

/// Where a URL leads to. Its host is told without the brackets of an IPv6 address.
struct Server<'a> {
    url: &'a str,
    parts: Uri,
}

impl<'a> Server<'a> {
    fn of(url: &'a str) -> Self {
        Self { url, parts: url.parse().unwrap_or_default() }
    }

    fn host(&self) -> &str {
        self.parts.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        let usual = if self.parts.scheme_str() == Some("https") { 443 } else { 80 };
        self.parts.port_u16().unwrap_or(usual)
    }

    fn path(&self) -> &str {
        self.parts.path()
    }

    fn attributes(&self) -> [KeyValue; 2] {
        [
            KeyValue::new("server.address", self.host().to_owned()),
            KeyValue::new("server.port", i64::from(self.port())),
        ]
    }
}

fn error(kind: Option<&'static str>) -> Status {
    kind.map_or(Status::Unset, Status::error)
}

fn number(name: &'static str, number: Option<u64>) -> Option<KeyValue> {
    let whole = |number| i64::try_from(number).unwrap_or(i64::MAX);
    number.map(|number| KeyValue::new(name, whole(number)))
}

fn text(name: &'static str, text: Option<&String>) -> Option<KeyValue> {
    text.map(|text| KeyValue::new(name, text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_its_host_and_port() {
        for (url, host, port, path) in [
            ("https://api.z.ai/api/paas/v4/chat", "api.z.ai", 443, "/api/paas/v4/chat"),
            ("http://a.example:81/", "a.example", 81, "/"),
            ("http://[::1]:8080/x", "::1", 8080, "/x"),
            ("http://[::1]/x", "::1", 80, "/x"),
        ] {
            let server = Server::of(url);
            assert_eq!((server.host(), server.port(), server.path()), (host, port, path));
        }
    }
}
