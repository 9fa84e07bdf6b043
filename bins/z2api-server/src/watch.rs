//! Looks whether files have changed.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is known of some files. A path that leads elsewhere is a change too: a file that is replaced
/// by renaming another, a link of Kubernetes that is set to a new folder.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: HashMap<PathBuf, Option<Stamp>>,
    last: HashMap<PathBuf, Option<Stamp>>,
}

/// Device, number, length, times of its contents and of its entry: another file, or other contents.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Watch {
    /// Whether a file has changed since it was taken, and has been still for one look: who writes in
    /// place is given time to end. What has changed counts as taken then.
    pub(crate) fn has_changed(&mut self, paths: &[PathBuf]) -> bool {
        self.begin(paths);
        let now = stamps(paths);
        let changed = now.iter().any(|(path, stamp)| self.seen.get(path) != Some(stamp));
        let still = now == self.last;
        self.last = now;
        if changed && still {
            self.take(paths);
        }
        changed && still
    }

    /// The files as they are now count as taken. To be called before they are read: what changes
    /// meanwhile is then seen.
    pub(crate) fn take(&mut self, paths: &[PathBuf]) {
        self.seen = stamps(paths);
    }

    /// Takes those that are new.
    pub(crate) fn begin(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.seen.entry(path.clone()).or_insert_with(|| stamp(path));
        }
    }
}

fn stamps(paths: &[PathBuf]) -> HashMap<PathBuf, Option<Stamp>> {
    paths.iter().map(|path| (path.clone(), stamp(path))).collect()
}

/// None for a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    let changed = (file.ctime(), file.ctime_nsec());
    Some((file.dev(), file.ino(), file.len(), (file.mtime(), file.mtime_nsec()), changed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Looks until the first change is told, at most three times.
    fn changes(watch: &mut Watch, paths: &[PathBuf]) -> usize {
        (0..3).filter(|_| watch.has_changed(paths)).count()
    }

    #[test]
    fn a_change_is_told_once_and_when_it_has_settled() {
        let folder = TempDir::new().unwrap();
        let paths = [folder.path().join("keys")];
        fs::write(&paths[0], "one").unwrap();
        let mut watch = Watch::default();
        assert_eq!(changes(&mut watch, &paths), 0);
        fs::write(&paths[0], "one and").unwrap();
        assert!(!watch.has_changed(&paths), "it may still be written");
        fs::write(&paths[0], "one and two").unwrap();
        assert!(!watch.has_changed(&paths));
        assert!(watch.has_changed(&paths) && !watch.has_changed(&paths));
    }

    #[test]
    fn a_file_put_in_place_by_renaming_is_a_change() {
        let folder = TempDir::new().unwrap();
        let paths = [folder.path().join("keys")];
        fs::write(&paths[0], "one").unwrap();
        let mut watch = Watch::default();
        assert_eq!(changes(&mut watch, &paths), 0);
        let (new, before) = (folder.path().join("new"), fs::metadata(&paths[0]).unwrap());
        fs::write(&new, "two").unwrap();
        // Of the same length and age, as a copy that keeps times makes it.
        let file = fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        fs::rename(&new, &paths[0]).unwrap();
        assert_eq!(changes(&mut watch, &paths), 1);
    }

    #[test]
    fn a_link_set_to_another_folder_is_a_change() {
        let folder = TempDir::new().unwrap();
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("keys"), text).unwrap();
        }
        // As Kubernetes mounts a secret: keys -> ..data/keys, ..data -> a folder of this version.
        symlink("v1", folder.path().join("..data")).unwrap();
        symlink("..data/keys", folder.path().join("keys")).unwrap();
        let paths = [folder.path().join("keys")];
        let mut watch = Watch::default();
        assert_eq!(changes(&mut watch, &paths), 0);
        symlink("v2", folder.path().join("..new")).unwrap();
        fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
        assert_eq!(changes(&mut watch, &paths), 1);
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "two");
    }

    #[test]
    fn a_file_that_goes_and_comes_back_is_a_change_each_time() {
        let folder = TempDir::new().unwrap();
        let paths = [folder.path().join("keys")];
        let mut watch = Watch::default();
        assert_eq!(changes(&mut watch, &paths), 0);
        fs::write(&paths[0], "").unwrap();
        assert_eq!(changes(&mut watch, &paths), 1);
        fs::remove_file(&paths[0]).unwrap();
        assert_eq!(changes(&mut watch, &paths), 1);
    }

    #[test]
    fn a_path_that_is_new_is_no_change() {
        let folder = TempDir::new().unwrap();
        let paths = [folder.path().join("keys"), folder.path().join("models")];
        let mut watch = Watch::default();
        assert_eq!(changes(&mut watch, &paths[..1]), 0);
        assert_eq!(changes(&mut watch, &paths), 0);
        fs::write(&paths[1], "x").unwrap();
        watch.take(&paths);
        assert_eq!(changes(&mut watch, &paths), 0);
    }
}
