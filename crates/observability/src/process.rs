//! What the system tells of the process, under the names that Prometheus has for it. Read when it is
//! asked for and not before.

use std::fmt;

use procfs::process::{LimitValue, Process, Stat};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// To be registered with the prefix `process`. What the system does not tell is left out.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    /// When the process began, in Unix seconds.
    began: Option<f64>,
}

impl ProcessMetrics {
    pub(crate) fn new() -> Self {
        let began = || {
            let since_boot = Process::myself().ok()?.stat().ok()?.starttime;
            let booted = procfs::boot_time_secs().ok()?;
            Some(booted as f64 + seconds(since_boot))
        };
        Self { began: began() }
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = &mut encoder;
        if let Some(began) = self.began {
            let help = "When the process began, in seconds since 1970";
            add(all, "start_time", help, Some(Unit::Seconds), &ConstGauge::new(began))?;
        }
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            of_stat(all, &stat)?;
        }
        if let Ok(open) = process.fd_count() {
            add(all, "open_fds", "Open files and sockets", None, &ConstGauge::new(open as u64))?;
        }
        let most = process.limits().map(|limits| limits.max_open_files.soft_limit);
        if let Ok(LimitValue::Value(most)) = most {
            let help = "Files and sockets that may be open";
            add(all, "max_fds", help, None, &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

fn of_stat(all: &mut DescriptorEncoder<'_>, stat: &Stat) -> fmt::Result {
    let cpu = ConstCounter::new(seconds(stat.utime + stat.stime));
    add(all, "cpu", "Time on processors, user and system", Some(Unit::Seconds), &cpu)?;
    let resident = ConstGauge::new(stat.rss * procfs::page_size());
    add(all, "resident_memory", "Resident memory", Some(Unit::Bytes), &resident)?;
    let virtual_memory = ConstGauge::new(stat.vsize);
    add(all, "virtual_memory", "Virtual memory", Some(Unit::Bytes), &virtual_memory)
}

fn add(
    all: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(all.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?)
}

/// The system counts in ticks.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}
