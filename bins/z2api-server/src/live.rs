//! The settings that can change while the gateway runs. A request keeps those it began with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use z2api_admission::Admission;
use z2api_config::{
    ApiKey, Config, Effective, Limits, Log, Peers, PerformanceMode, Shutdown, digest,
};
use z2api_observability::{Headers, TraceSettings, memory_ceiling};
use z2api_stream_transform::{Model, ModelTable, ThinkMode};
use z2api_upstream_client::{Client, Dialect, RetryPolicy, Settings, SettingsError};

use crate::auth::Keys;
use crate::cors::Cors;

const TRACE_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// One state of the settings.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) keys: Keys,
    pub(crate) cors: Cors,
    pub(crate) client: Client,
    pub(crate) models: ModelTable,
    /// Of models with a limit of their own, by their id in the `zai-web` dialect.
    model_limits: HashMap<String, Admission>,
    pub(crate) think_mode: ThinkMode,
    pub(crate) limits: Limits,
    pub(crate) peers: Peers,
    /// How many requests may wait.
    pub(crate) queue: usize,
    pub(crate) log: Log,
    pub(crate) shutdown: Shutdown,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The digest of the key that `/status` asks for.
    pub(crate) admin_key: Option<[u8; 32]>,
    /// Whether `/metrics` is served.
    pub(crate) metrics: bool,
    /// Whether the live page is served.
    pub(crate) dashboard: bool,
    pub(crate) performance_mode: PerformanceMode,
    pub(crate) retry: RetryPolicy,
    pub(crate) watched: Vec<PathBuf>,
    effective: Vec<Effective>,
    /// What is sent with traces, which are set up once.
    trace_headers: Option<Headers>,
    upstream: Settings,
    generated: Option<Vec<ApiKey>>,
}

impl Live {
    /// The settings of `config`; what `before` still has of use goes on: limits of models,
    /// the upstream's connections and tokens, a key that was made up.
    pub(crate) fn new(mut config: Config, before: Option<&Self>) -> Result<Self, SettingsError> {
        let ceiling = memory_ceiling().unwrap_or(u64::MAX);
        config.limits.memory = config.limits.memory.min(ceiling);
        let watched = config.watched_files().map(PathBuf::from).collect();
        let made_up = before.and_then(|before| before.generated.clone());
        let keys = match made_up {
            Some(keys) if config.key_is_generated => keys,
            _ => config.keys,
        };
        let same = before.filter(|before| before.upstream == config.upstream);
        Ok(Self {
            keys: Keys::new(&keys),
            cors: Cors::new(config.cors_origins),
            client: match same {
                Some(before) => before.client.clone(),
                None => Client::new(config.upstream.clone())?,
            },
            model_limits: model_limits(&config.models, config.admission, before),
            models: config.models,
            think_mode: config.think_mode,
            limits: config.limits,
            peers: config.peers,
            queue: config.admission.queue,
            log: config.log,
            shutdown: config.shutdown,
            trusted_proxies: config.trusted_proxies,
            admin_key: config.admin_key.map(|key| digest(key.expose().as_bytes())),
            metrics: config.metrics,
            dashboard: config.dashboard,
            performance_mode: config.performance_mode,
            retry: config.upstream.retry.clone(),
            watched,
            effective: config.effective,
            trace_headers: headers_of(config.traces.as_ref()),
            upstream: config.upstream,
            generated: config.key_is_generated.then_some(keys),
        })
    }

    /// Whether the only key is one that was made up at the start.
    pub(crate) fn key_is_generated(&self) -> bool {
        self.generated.is_some()
    }

    /// The upstream's dialect, by its name in the settings.
    pub(crate) fn dialect(&self) -> &'static str {
        match self.client.dialect() {
            Dialect::ZaiWeb => "zai-web",
            Dialect::OpenAi => "openai",
        }
    }

    /// The limit of a model's own, if it has one.
    pub(crate) fn limit_of(&self, model: &Model) -> Option<&Admission> {
        self.model_limits.get(&model.zai_web)
    }

    /// How many requests wait for a place of their model's own.
    pub(crate) fn queued_for_models(&self) -> usize {
        self.model_limits.values().map(Admission::queued).sum()
    }

    /// Whether a proxy is at this address that stands for many clients.
    pub(crate) fn trusts(&self, address: &IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Admits nothing to the models that have limits of their own any more.
    pub(crate) fn drain(&self) {
        self.model_limits.values().for_each(Admission::drain);
    }

    /// The variables whose change `new` brings without effect.
    pub(crate) fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let value = |settings: &[Effective], name: &str| {
            settings.iter().find(|s| s.name == name).map(|s| s.value.clone())
        };
        let differs = |name: &&str| match *name {
            // Their values are masked: two may look the same.
            TRACE_HEADERS => self.trace_headers != headers_of(new.traces.as_ref()),
            name => value(&self.effective, name) != value(&new.effective, name),
        };
        [
            "HOST",
            "PORT",
            "RESPONSES_STORE_MB",
            "LOG_FORMAT",
            "ADMIN_ADDR",
            "WORKER_THREADS",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            TRACE_HEADERS,
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_SERVICE_NAME",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
            "TRACE_UPSTREAM",
        ]
        .into_iter()
        .filter(differs)
        .collect()
    }
}

fn headers_of(traces: Option<&TraceSettings>) -> Option<Headers> {
    traces.map(|traces| traces.headers.clone())
}

/// The limits of models; those that were there before keep their counts.
fn model_limits(
    models: &ModelTable,
    settings: z2api_admission::Settings,
    before: Option<&Live>,
) -> HashMap<String, Admission> {
    let limited = models.iter().filter_map(|model| Some((model, model.concurrency?.get())));
    let limits = limited.map(|(model, limit)| {
        let known = before.and_then(|before| before.limit_of(model));
        let mut settings = settings;
        settings.max_in_flight = limit;
        let admission = known.cloned().unwrap_or_else(|| Admission::new(settings));
        admission.set(settings);
        (model.zai_web.clone(), admission)
    });
    limits.collect()
}
