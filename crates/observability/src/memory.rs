//! How much memory the process holds.

/// Resident memory in bytes; None where the system does not tell it in `/proc/self/status`.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
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
        assert!(resident_memory().unwrap() > 100_000);
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
