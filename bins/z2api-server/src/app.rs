//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use z2api_admission::Admission;
use z2api_config::{Config, Limits, PerformanceMode, Shutdown};
use z2api_observability::{Counters, LogSink};
use z2api_stream_transform::{ModelTable, ThinkMode};
use z2api_upstream_client::{Client, RetryPolicy, SettingsError};

use crate::auth::Keys;
use crate::cors::Cors;
use crate::memory::Memory;

/// The gateway without its listener. Shared by all connections.
#[derive(Debug)]
pub struct App {
    pub(crate) keys: Keys,
    pub(crate) cors: Cors,
    pub(crate) admission: Admission,
    pub(crate) client: Client,
    pub(crate) models: ModelTable,
    pub(crate) think_mode: ThinkMode,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: LogSink,
    pub(crate) log_requests: bool,
    pub(crate) shutdown: Shutdown,
    /// Set when running requests are out of time.
    pub(crate) out_of_time: watch::Sender<bool>,
    pub(crate) told: Told,
}

/// Settings that are only shown.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) performance_mode: PerformanceMode,
    pub(crate) retry: RetryPolicy,
    pub(crate) request_timeout: Duration,
}

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The upstream cannot be asked with these settings.
    #[error(transparent)]
    Upstream(#[from] SettingsError),
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`BuildError`] for settings that no upstream client can have.
    pub fn build(config: Config, log: LogSink) -> Result<Arc<Self>, BuildError> {
        let told = Told {
            performance_mode: config.performance_mode,
            retry: config.upstream.retry.clone(),
            request_timeout: config.limits.request,
        };
        Ok(Arc::new(Self {
            keys: Keys::new(&config.keys),
            cors: Cors::new(config.cors_origins),
            admission: Admission::new(config.admission),
            client: Client::new(config.upstream)?,
            models: config.models,
            think_mode: config.think_mode,
            memory: Memory::new(config.limits.memory),
            limits: config.limits,
            counters: Arc::new(Counters::default()),
            log,
            log_requests: config.log.requests,
            shutdown: config.shutdown,
            out_of_time: watch::Sender::new(false),
            told,
        }))
    }

    /// How many requests hold a slot.
    pub fn in_flight(&self) -> usize {
        self.admission.in_flight()
    }
}
