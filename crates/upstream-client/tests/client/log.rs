//! What a retry leaves in the log.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use z2api_upstream_client::Dialect;
use z2api_upstream_sim::{Sim, faults};

use crate::support::{TOKEN, ask, client};

/// Keeps the fields of this crate's events as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("z2api_upstream_client") && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn each_retry_leaves_one_line_without_secrets() {
    let lines = Lines::default();
    let _subscriber = tracing::subscriber::set_default(lines.clone());
    let sim = Sim::start(faults::detail(500, "you said: a question of mine")).await.unwrap();
    ask(&client(&sim, Dialect::OpenAi)).await.unwrap_err();
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (attempt, line) in (1..).zip(lines.iter()) {
        let expected =
            format!(r#"type="retry" attempt={attempt} delay_ms=0 reason="upstream_error""#);
        assert!(line.contains(&expected), "{line}");
        assert!(!line.contains(TOKEN) && !line.contains("mine"), "{line}");
    }
}
