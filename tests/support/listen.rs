//! Hears all that the process says by `tracing`, of whatever crate and at the finest level.

use std::fmt::{Debug, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::watch::{ANY, Kind, check, keep};

/// Events at the finest level, of crates that are not ours.
static FOREIGN: AtomicUsize = AtomicUsize::new(0);

/// How many events at the finest level were heard of the libraries.
pub fn foreign_traces() -> usize {
    FOREIGN.load(Ordering::Relaxed)
}

/// Listens, if nobody does yet in this process.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    // A test that listens itself has done so by `listen_as`.
    ONCE.call_once(|| {
        let _ = install(tracing_subscriber::registry());
    });
}

/// Listens, and lets this one hear the same. It must let everything through.
///
/// # Panics
/// If somebody listens already.
pub fn listen_as(subscriber: impl Subscriber + Send + Sync) {
    install(subscriber).expect("nobody listens yet");
}

fn install(
    subscriber: impl Subscriber + Send + Sync,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber.with(Listener))?;
    // Of the simulated upstream's guests.
    keep(Kind::Key, "sim-guest-");
    let told = panic::take_hook();
    // What the program makes of a panic; it is heard like all other lines. Then what the tests make of it.
    z2api_server::log_panics();
    let logged = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        logged(panic);
        told(panic);
    }));
    Ok(())
}

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        hear(span.metadata().target(), |fields| span.record(fields));
    }

    fn on_record(&self, _: &Id, record: &Record<'_>, _: Context<'_, S>) {
        hear("a span", |fields| record.record(fields));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() == Level::TRACE && !about.target().starts_with("z2api") {
            FOREIGN.fetch_add(1, Ordering::Relaxed);
        }
        hear(about.target(), |fields| event.record(fields));
    }
}

fn hear(target: &str, record: impl FnOnce(&mut Fields)) {
    let mut fields = Fields(String::new());
    record(&mut fields);
    check(ANY, target, &fields.0);
}

/// Fields as text, whole.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string fails only if the value's own Debug does.
        let _ = write!(self.0, "{field}={value:?} ");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{field}={value} ");
    }
}
