//! The lab's part of the cgroup tree: `muster/control` for the control plane, `muster/NODE` for each node.
//!
//! Both versions are served: with version 1 every hierarchy gets the same folders; a version 2 hierarchy beside them
//! only knows the processes, since the kubelet uses the controllers of version 1 then. All processes of a lab are
//! below `muster`, so whatever was started, however `up` ended, is found here.
//!
//! Invariant: nothing outside the folder `muster` of a hierarchy is written, except for handing controllers down.

use std::path::{Path, PathBuf};

use crate::ProvisionError;
use crate::error::FileContext;

/// The lab's top folder in every hierarchy.
pub(crate) const TOP: &str = "muster";

/// Where the hierarchies are mounted.
#[derive(Debug)]
pub(crate) struct Hierarchies(Vec<Hierarchy>);

#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    root: PathBuf,
    version2: bool,
}

impl Hierarchies {
    /// Finds those of this mount namespace.
    pub(crate) fn discover() -> Result<Self, ProvisionError> {
        let path = "/proc/self/mountinfo";
        Ok(Hierarchies(parse_mounts(
            &std::fs::read_to_string(path).at("read", path)?,
        )))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the folder in every hierarchy. `leaf`: processes go right into it.
    pub(crate) fn create(&self, name: &str, leaf: bool) -> Result<(), ProvisionError> {
        let only_version2 = self.0.iter().all(|h| h.version2);
        for hierarchy in &self.0 {
            let mut dir = hierarchy.root.clone();
            let parts: Vec<&str> = name.split('/').collect();
            for (index, part) in parts.iter().enumerate() {
                if only_version2 {
                    hand_down(&dir)?;
                }
                dir.push(part);
                match std::fs::create_dir(&dir) {
                    Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                        return Err(e).at("make the cgroup", &dir);
                    }
                    _ => {}
                }
                if !hierarchy.version2 {
                    copy_cpuset(&dir)?;
                } else if only_version2 && !leaf && index + 1 == parts.len() {
                    hand_down(&dir)?;
                }
            }
        }
        Ok(())
    }

    /// Moves the calling process into the folder, in every hierarchy.
    pub(crate) fn join(&self, name: &str) -> Result<(), ProvisionError> {
        for hierarchy in &self.0 {
            let file = hierarchy.root.join(name).join("cgroup.procs");
            std::fs::write(&file, "0").at("join the cgroup", &file)?;
        }
        Ok(())
    }

    /// All processes in and below the folder.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        for hierarchy in &self.0 {
            for dir in folders(&hierarchy.root.join(name)) {
                let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                found.extend(
                    text.lines()
                        .filter_map(|l| l.parse::<u32>().ok())
                        .filter(|pid| *pid != 0),
                );
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Removes the folder and those below it; returns what is left because a process is (still) in it.
    pub(crate) fn remove(&self, name: &str) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for hierarchy in &self.0 {
            for dir in folders(&hierarchy.root.join(name)) {
                if let Err(e) = std::fs::remove_dir(&dir)
                    && e.kind() != std::io::ErrorKind::NotFound
                {
                    left.push(dir);
                }
            }
        }
        left
    }
}

/// The folder and all below it, the innermost first.
fn folders(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(top) else {
        return found;
    };
    for entry in entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
    {
        found.extend(folders(&entry.path()));
    }
    found.push(top.to_owned());
    found
}

/// Version 1: a new cpuset is empty, and nothing can join it before it has CPUs and memory.
fn copy_cpuset(dir: &Path) -> Result<(), ProvisionError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (dir.join(file), dir.parent().unwrap_or(dir).join(file));
        if own.exists() && std::fs::read_to_string(&own).at("read", &own)?.trim().is_empty() {
            let value = std::fs::read_to_string(&above).at("read", &above)?;
            std::fs::write(&own, value).at("write", &own)?;
        }
    }
    Ok(())
}

/// Version 2: lets the folders below use all controllers that this one has.
fn hand_down(dir: &Path) -> Result<(), ProvisionError> {
    let words = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    let (has, given) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let missing: Vec<String> = has
        .split_whitespace()
        .filter(|c| !given.split_whitespace().any(|g| g == *c))
        .map(|c| format!("+{c}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let file = dir.join("cgroup.subtree_control");
    std::fs::write(&file, missing.join(" ")).at("hand controllers down in", &file)
}

fn parse_mounts(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let version2 = match after.split_whitespace().next() {
            Some("cgroup") => false,
            Some("cgroup2") => true,
            _ => continue,
        };
        if let Some(root) = before.split_whitespace().nth(4) {
            let root = PathBuf::from(root);
            if root.starts_with("/sys/fs/cgroup") && !found.iter().any(|h| h.root == root) {
                found.push(Hierarchy { root, version2 });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        let text = "24 1 0:21 / / rw - ext4 /dev/a rw\n\
            30 24 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n\
            31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            33 24 0:28 / /opt/copy rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            parse_mounts(text),
            [
                Hierarchy {
                    root: "/sys/fs/cgroup/cpu,cpuacct".into(),
                    version2: false
                },
                Hierarchy {
                    root: "/sys/fs/cgroup/unified".into(),
                    version2: true
                },
            ]
        );
    }
}
