//! How much memory the process holds.

use std::fs::File;
use std::os::unix::fs::FileExt;

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

/// How often the control groups are looked for anew, counted in readings: one may get a limit, or the
/// process may be moved to another.
const LOOK_AGAIN: u32 = 40;

/// Reads how much memory is used, again and again: `/proc/self/status`, and the control group that is
/// nearest its limit. The files are kept open, for opening them costs more than reading.
#[derive(Debug, Default)]
pub struct MemoryMeter {
    status: Option<File>,
    groups: Vec<Group>,
    readings: u32,
}

impl MemoryMeter {
    /// How much is used now.
    pub fn read(&mut self) -> MemoryReading {
        if self.readings.is_multiple_of(LOOK_AGAIN) {
            self.open();
        }
        self.readings = self.readings.wrapping_add(1);
        let groups = self.groups.iter().filter_map(Group::read);
        MemoryReading {
            resident: self.status.as_ref().and_then(resident_memory).unwrap_or(0),
            group: groups.max_by(|a, b| part(a).total_cmp(&part(b))),
        }
    }

    fn open(&mut self) {
        if self.status.is_none() {
            self.status = File::open("/proc/self/status").ok();
        }
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        self.groups = limit_files(&groups).iter().filter_map(|path| Group::open(path)).collect();
    }
}

/// Reads how much memory is used now.
pub fn memory_reading() -> MemoryReading {
    MemoryMeter::default().read()
}

/// Resident memory in bytes; None where the system does not tell it.
fn resident_memory(status: &File) -> Option<u64> {
    let status = text_of(status)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The files of a control group with a limit, of version 2 or 1.
#[derive(Debug)]
struct Group {
    limit: File,
    used: File,
    stat: Option<File>,
}

impl Group {
    /// By the file of its limit; None if it has no limit.
    fn open(limit: &str) -> Option<Self> {
        let folder = limit.rsplit_once('/')?.0;
        let open = |name: &str| File::open(format!("{folder}/{name}")).ok();
        let limit = File::open(limit).ok()?;
        limit_in(&text_of(&limit)?)?;
        let used = open("memory.current").or_else(|| open("memory.usage_in_bytes"))?;
        Some(Self { limit, used, stat: open("memory.stat") })
    }

    fn read(&self) -> Option<GroupMemory> {
        let used: u64 = text_of(&self.used)?.trim().parse().ok()?;
        let stat = self.stat.as_ref().and_then(text_of);
        let back = stat.map_or(0, |stat| inactive_files(&stat));
        let limit = limit_in(&text_of(&self.limit)?)?;
        Some(GroupMemory { used: used.saturating_sub(back), limit })
    }
}

/// All of a file of the kernel's, as it is now.
fn text_of(file: &File) -> Option<String> {
    let (mut bytes, mut space) = (Vec::new(), [0; 4096]);
    loop {
        match file.read_at(&mut space, bytes.len() as u64).ok()? {
            0 => return String::from_utf8(bytes).ok(),
            read => bytes.extend_from_slice(&space[..read]),
        }
    }
}

fn part(group: &GroupMemory) -> f64 {
    group.used as f64 / group.limit.max(1) as f64
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
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("memory.current", "1000\n");
        write("memory.stat", "anon 1\ninactive_file 300\n");
        write("memory.max", "max\n");
        let path = folder.join("memory.max");
        assert!(Group::open(path.to_str().unwrap()).is_none(), "it has no limit");
        write("memory.max", "5000\n");
        let group = Group::open(path.to_str().unwrap()).unwrap();
        assert_eq!(group.read(), Some(GroupMemory { used: 700, limit: 5000 }));
        write("memory.current", "2000\n");
        for name in ["memory.current", "memory.stat", "memory.max"] {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
        let used = group.read().map(|group| group.used);
        assert_eq!(used, Some(1700), "what is open is not opened again");
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
