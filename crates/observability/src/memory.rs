//! How much memory the process holds.

/// How much memory is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryReading {
    /// Resident in the process, in bytes. 0 where the system does not tell it.
    pub resident: u64,
    /// Of the process's control group; None without a limit.
    pub group: Option<GroupMemory>,
}

/// How much memory a control group uses, and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupMemory {
    /// In bytes; without what the kernel can take back at once (inactive files).
    pub used: u64,
    /// In bytes. Beyond it, the kernel ends a process of the group.
    pub limit: u64,
}

/// Reads how much memory is used now: `/proc/self/status`, and the control group that has a limit.
pub fn memory_reading() -> MemoryReading {
    MemoryReading { resident: resident_memory().unwrap_or(0), group: group_memory() }
}

/// Resident memory in bytes; None where the system does not tell it in `/proc/self/status`.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Of the group that is nearest its limit.
fn group_memory() -> Option<GroupMemory> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let with_limits = limit_files(&groups).into_iter().filter_map(|path| {
        let limit = limit_in(&std::fs::read_to_string(&path).ok()?)?;
        let folder = path.rsplit_once('/')?.0;
        Some(GroupMemory { used: used_in(folder)?, limit })
    });
    with_limits.max_by(|a, b| part(a).total_cmp(&part(b)))
}

fn part(group: &GroupMemory) -> f64 {
    group.used as f64 / group.limit.max(1) as f64
}

/// What a group uses, by the files of version 2 or 1 in its folder.
fn used_in(folder: &str) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).ok();
    let used: u64 =
        read("memory.current").or_else(|| read("memory.usage_in_bytes"))?.trim().parse().ok()?;
    let back = read("memory.stat").map_or(0, |stat| inactive_files(&stat));
    Some(used.saturating_sub(back))
}

fn inactive_files(stat: &str) -> u64 {
    let value =
        |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value("total_inactive_file ").or_else(|| value("inactive_file ")).unwrap_or(0)
}

/// The most memory that the process's control group allows, in bytes; None without a limit.
pub fn memory_ceiling() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_files(&groups)
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .filter_map(|text| limit_in(&text))
        .min()
}

/// Where the limits of a process stand, by its `/proc/self/cgroup`: its own group, all groups above
/// it, and (in a container) the root that it sees.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(kind), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (root, name) = if kind.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if kind.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{name}"));
            match path.rfind('/') {
                Some(at) => path = &path[..at],
                None => break,
            }
        }
    }
    files
}

/// `max`, or the huge number that version 1 writes, is no limit.
fn limit_in(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_some_memory() {
        assert!(memory_reading().resident > 100_000);
    }

    #[test]
    fn what_the_kernel_can_take_back_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("memory.current"), "1000\n").unwrap();
        std::fs::write(folder.join("memory.stat"), "anon 1\ninactive_file 300\n").unwrap();
        assert_eq!(used_in(folder.to_str().unwrap()), Some(700));
        assert_eq!(inactive_files("inactive_file 1\ntotal_inactive_file 9\n"), 9);
    }

    #[test]
    fn limits_stand_in_the_group_and_above_it() {
        let second = [
            "/sys/fs/cgroup/a/b/memory.max",
            "/sys/fs/cgroup/a/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limit_files("0::/a/b\n"), second);
        let first = "11:cpu:/x\n4:memory:/\n";
        assert_eq!(limit_files(first), ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]);
        assert_eq!(limit_in("max\n"), None);
        assert_eq!(limit_in("9223372036854771712\n"), None);
        assert_eq!(limit_in("1048576\n"), Some(1_048_576));
    }
}
