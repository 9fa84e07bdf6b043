//! Reads the settings again: at SIGHUP, and when the file of keys or models has changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use z2api_config::{Config, Flags};

use crate::app::App;
use crate::demo::Demo;
use crate::watch::Watch;

/// How often the files are looked at. A change is taken at the second look that sees it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The task that reloads. Dropping it ends it.
#[derive(Debug)]
pub struct Reloads {
    task: JoinHandle<()>,
}

impl Reloads {
    /// Begins to reload at hang-ups, and to watch the files.
    pub fn start(app: Arc<App>, flags: Flags, demo: Option<Demo>, mut hangups: Signal) -> Self {
        // Ended by `Drop`.
        let task = tokio::spawn(async move {
            let mut look = interval(LOOK_EVERY);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut watch = Watch::default();
            loop {
                watch.begin(&app.live().watched);
                tokio::select! {
                    _ = hangups.recv() => watch.take(&app.live().watched),
                    _ = look.tick() => if !watch.has_changed(&app.live().watched) { continue },
                }
                reload(&app, &flags, demo.as_ref());
            }
        });
        Self { task }
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes new settings if they are good; bad ones change nothing and say why.
fn reload(app: &App, flags: &Flags, demo: Option<&Demo>) {
    let mut config = match Config::load(flags) {
        Ok(config) => config,
        Err(problems) => {
            let problems = problems.to_string();
            tracing::error!(
                r#type = "reload",
                problems,
                "the new settings are bad: nothing has changed"
            );
            return;
        }
    };
    if let Some(demo) = demo {
        demo.apply(&mut config);
    }
    for warning in &config.warnings {
        tracing::warn!(r#type = "reload", warning, "a setting is odd");
    }
    if config.key_is_generated && !app.live().key_is_generated() {
        tracing::warn!(r#type = "reload", "no API key is left: nobody can ask until there is one");
    }
    match app.reload(config) {
        Ok(restart) if restart.is_empty() => {
            tracing::info!(r#type = "reload", "the settings have been read again");
        }
        Ok(restart) => tracing::warn!(
            r#type = "reload",
            variables = restart.join(","),
            "the settings have been read again; the changes of some need a restart"
        ),
        Err(error) => tracing::error!(
            r#type = "reload",
            error = %error,
            "the new settings are bad: nothing has changed"
        ),
    }
}
