//! What a process has cost so far, by `/proc`: with its threads and its child processes.

use std::fs;
use std::time::Duration;

/// A process and its children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Time on the CPU.
    pub(crate) fn cpu(self) -> Duration {
        let own: Duration = tasks(self.0).map(|task| on_cpu(&task)).sum();
        self.children().map(Self::cpu).fold(own, |sum, child| sum + child)
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse().ok())
            .unwrap_or_default();
        kib * 1024 + self.children().map(Self::memory).sum::<u64>()
    }

    /// Open descriptors of the process itself.
    pub(crate) fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).into_iter().flatten().count()
    }

    /// Threads of the process itself.
    pub(crate) fn threads(self) -> usize {
        tasks(self.0).count()
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let told = tasks(self.0).map(|task| fs::read_to_string(format!("{task}/children")));
        let told: String = told.map(Result::unwrap_or_default).collect();
        let pids: Vec<u32> = told.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        pids.into_iter().map(Self)
    }
}

/// The folders of a process's threads.
fn tasks(pid: u32) -> impl Iterator<Item = String> {
    let folder = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    entries.map(move |entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
}

fn on_cpu(task: &str) -> Duration {
    let told = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}
