//! What libraries say by `tracing`, as lines.

use std::fmt::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::excerpt::Excerpt;
use crate::line::now;
use crate::sink::LogSink;

/// What the targets of the workspace's crates begin with.
const OURS: &str = "z2api";
/// The target of spans that name a request. No filter takes it away: a line that gets through
/// says whose it is.
pub const REQUEST_SPAN: &str = "z2api_request";
/// A longer text is cut, in bytes.
const MAX_TEXT: usize = 1024;

/// A subscriber that writes a line for each event that `filter` lets through: `timestamp`,
/// `level`, `type` (the event's field of that name, or `log`), `message`, the fields of the spans
/// that it is in, then its own.
/// The handle changes the filter later.
///
/// # Errors
/// What is wrong with the filter.
pub fn subscriber(
    sink: LogSink,
    filter: &str,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogFilter), String> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    Ok((Registry::default().with(filter).with(Lines { sink }), LogFilter { handle }))
}

/// Checks a filter, in the words of `RUST_LOG`: `warn,z2api=debug`.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| error.to_string())?;
    let named = format!("{REQUEST_SPAN}=error").parse::<Directive>();
    Ok(filter.add_directive(named.map_err(|error| error.to_string())?))
}

/// Changes what a [`subscriber`] lets through.
#[derive(Debug, Clone)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogFilter {
    /// Takes a new filter from now on.
    ///
    /// # Errors
    /// What is wrong with it; the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        self.handle.reload(parse(filter)?).map_err(|error| error.to_string())
    }
}

struct Lines {
    sink: LogSink,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, new: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // What libraries know in spans of their own is theirs: it may be more than a log should say.
        if !new.metadata().target().starts_with(OURS) {
            return;
        }
        let mut fields = Fields::default();
        new.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut others = Map::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                others.extend(known.others.clone());
            }
        }
        others.extend(fields.others);
        self.sink.line(
            *event.metadata().level(),
            &Line {
                timestamp: now(),
                level: event.metadata().level().as_str(),
                r#type: fields.kind.unwrap_or_else(|| "log".into()),
                message: fields.message.unwrap_or_default(),
                others,
            },
        );
    }
}

/// What all lines have, and in this order, comes first.
#[derive(Serialize)]
struct Line {
    timestamp: String,
    level: &'static str,
    r#type: Value,
    message: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Default)]
struct Fields {
    kind: Option<Value>,
    message: Option<Value>,
    others: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        match field.name() {
            "type" | "r#type" => self.kind = Some(value),
            "message" => self.message = Some(value),
            // The line has those itself.
            name @ ("timestamp" | "level") => {
                self.others.insert(format!("its_{name}"), value);
            }
            name => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string fails only if the value's own Debug does.
        let _ = write!(text, "{value:?}");
        self.set(field, Excerpt::of(&text, MAX_TEXT).to_string().into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Excerpt::of(value, MAX_TEXT).to_string().into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_takes_the_name_of_a_request_away() {
        for filter in ["z2api_x=warn", "off,z2api_x=warn", "z2api=info", "warn,z2api_request=off"] {
            let (sink, memory, guard) = LogSink::memory();
            let (subscriber, _filter) = subscriber(sink, filter).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                let span =
                    tracing::error_span!(target: REQUEST_SPAN, "request", request_id = "one");
                let _in_it = span.enter();
                tracing::warn!(target: "z2api_x", "again");
            });
            drop(guard);
            let lines = memory.lines();
            assert_eq!(lines.len(), 1, "{filter}");
            assert!(lines[0].contains(r#""request_id":"one""#), "{filter}: {lines:?}");
        }
    }

    #[test]
    fn an_event_is_a_line_with_its_fields() {
        let (sink, memory, guard) = LogSink::memory();
        let (subscriber, filter) = subscriber(sink, "warn,z2api=info").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!(target: "z2api_x", "request", request_id = "one");
            let _in_it = span.enter();
            tracing::warn!(target: "z2api_x", r#type = "retry", attempt = 2, "again\nand again");
            tracing::debug!(target: "z2api_x", "not wanted");
            tracing::info!(target: "hyper", "not wanted");
            tracing::info!(target: "z2api_x", long = "x".repeat(5000));
            filter.set("z2api=debug").unwrap();
            tracing::debug!(target: "z2api_x", "wanted now");
            assert!(filter.set("z2api=loud").is_err());
        });
        drop(guard);
        let lines: Vec<Value> =
            memory.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["type"], &lines[0]["level"]), (&"retry".into(), &"WARN".into()));
        assert_eq!(lines[0]["message"], "again\nand again");
        assert_eq!((&lines[0]["attempt"], &lines[0]["request_id"]), (&2.into(), &"one".into()));
        assert!(lines[1]["long"].as_str().unwrap().contains(" bytes left out)…"));
    }
}
